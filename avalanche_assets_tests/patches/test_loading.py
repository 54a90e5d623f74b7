from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue
from avalanche_assets.errors import TableError
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.patches.observability import HIDDEN, OUTSIDE_SWATH
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import (
    CORRIDOR_LABELS,
    CORRIDOR_PATCHES,
    TERRAIN_PATCHES,
    write_table,
)

DAYS = ["2017-12-29", "2018-01-04", "2018-01-10", "2018-02-27"]
"""The last one lies 48 days after the one before it: no previous acquisition within 24 days."""


@pytest.fixture
def catalogue() -> AcquisitionCatalogue:
    return AcquisitionCatalogue(
        tuple(
            Acquisition(
                date.fromisoformat(day),
                datetime.fromisoformat(f"{day}T05:35:00").replace(tzinfo=UTC),
                "S1A",
                1,
                "winter",
                "2017-18",
                "complete",
                (),
            )
            for day in DAYS
        )
    )


def tensor(values: list[float], kind=np.float16) -> pa.Array:
    filled = np.repeat(np.array(values, kind), 64 * 64).reshape(-1, 64, 64)
    return pa.FixedShapeTensorArray.from_numpy_ndarray(filled)


def store_patches(layout, day, ids, vv, valid=None, visible=None) -> None:
    table = pa.table(
        {
            "corridor_id": ids,
            "acquisition_date": pa.array([date.fromisoformat(day)] * len(ids), pa.date32()),
            "vv_star": tensor(vv),
            "vh_star": tensor([-value for value in vv]),
            "valid_fraction": pa.array(valid or [1.0] * len(ids), pa.float32()),
            "visible_fraction": pa.array(visible or [1.0] * len(ids), pa.float32()),
            "wet_snow_fraction": pa.array([0.0] * len(ids), pa.float32()),
        },
        CORRIDOR_PATCHES,
    )
    write_table(layout.corridor_patches(day), table, CORRIDOR_PATCHES)


def store_terrain(layout, ids) -> None:
    numbers = [float(i + 1) for i in range(len(ids))]
    columns = {name: tensor(numbers) for name in ("slope", "aspect", "local_incidence", "visible", "inside")}
    places = {"pixel_m": 20.0, "look_azimuth_deg": 280.0, "top_east_m": 100.0, "top_north_m": -40.0}
    columns |= {name: pa.array([value] * len(ids), pa.float32()) for name, value in places.items()}
    table = pa.table(
        {"corridor_id": ids, "elevation": tensor([3000.5 + n for n in numbers], np.float32), **columns},
        TERRAIN_PATCHES,
    )
    write_table(layout.terrain_patches, table, TERRAIN_PATCHES)


@pytest.fixture
def layout(tmp_path) -> DataLayout:
    layout = DataLayout(tmp_path)
    store_patches(layout, DAYS[0], ["a", "b", "c"], [1.0, 2.0, 3.0])
    # another order, and b is new on the map as d
    store_patches(layout, DAYS[1], ["c", "a", "d"], [30.0, 10.0, 40.0])
    store_patches(layout, DAYS[2], ["a", "c", "d"], [100.0, 300.0, 400.0])
    store_patches(layout, DAYS[3], ["a", "c", "d"], [0.0, 0.0, 0.0])
    store_terrain(layout, ["d", "c", "b", "a"])
    return layout


def middle(samples, channel) -> list[float]:
    return samples.channel(channel)[:, 32, 32].tolist()


def test_each_sample_meets_the_patch_of_its_own_corridor_on_the_previous_date(layout, catalogue):
    samples = load_samples(layout, catalogue, [DAYS[2], DAYS[1]]).samples
    assert list(samples.corridor_ids) == ["c", "a", "a", "c", "d"]
    assert [str(day) for day in samples.dates] == [DAYS[1]] * 2 + [DAYS[2]] * 3
    assert middle(samples, "vv_star") == [30.0, 10.0, 100.0, 300.0, 400.0]
    assert middle(samples, "vv_star_old") == [3.0, 1.0, 10.0, 30.0, 40.0]
    assert middle(samples, "dvh") == [-27.0, -9.0, -90.0, -270.0, -360.0]
    assert middle(samples, "elevation") == [3002.5, 3004.5, 3004.5, 3002.5, 3001.5]
    assert samples.backscatter["vv_star"].dtype == np.float16
    assert len(samples.backscatter["vv_star"]) == 9  # three dates, each stored once


def test_dates_without_previous_contribute_nothing(layout, catalogue):
    loaded = load_samples(layout, catalogue, [DAYS[0], DAYS[3]])
    assert len(loaded) == 0
    assert loaded.samples.channel("vv_star").shape == (0, 64, 64)
    assert loaded.new.shape == loaded.observable.shape == (0,)


def test_chosen_corridors_only(layout, catalogue):
    samples = load_samples(layout, catalogue, DAYS, corridors=["a", "unknown"]).samples
    assert list(samples.corridor_ids) == ["a", "a"]
    assert middle(samples, "dvv") == [9.0, 90.0]
    assert middle(samples, "elevation") == [3004.5, 3004.5]
    assert len(samples.backscatter["vv_star"]) == 3
    assert len(samples.terrain["slope"]) == 1


def test_labels_come_along_where_they_exist(layout, catalogue):
    ids = ["a", "c", "d"]
    table = pa.table(
        {
            "corridor_id": ids,
            "acquisition_date": pa.array([date.fromisoformat(DAYS[1])] * 3, pa.date32()),
            "previous_date": pa.array([date.fromisoformat(DAYS[0])] * 3, pa.date32()),
            "new": ["positive", "negative", "negative"],
            "recent": ["positive", "ambiguous", "negative"],
            "event_ids": pa.array([["e"], [], []], pa.list_(pa.string())),
        },
        CORRIDOR_LABELS,
    )
    write_table(layout.corridor_labels(DAYS[1]), table, CORRIDOR_LABELS)
    loaded = load_samples(layout, catalogue, DAYS)
    assert loaded.labels("new").tolist() == ["negative", "positive"] + ["unobserved"] * 3
    assert loaded.labels("recent").tolist() == ["ambiguous", "positive"] + ["unobserved"] * 3
    chosen = loaded.subset(loaded.labels("new") == "positive")
    assert list(chosen.samples.corridor_ids) == ["a"]
    assert chosen.recent.tolist() == ["positive"]
    assert middle(chosen.samples, "vv_star") == [10.0]


def test_without_terrain_table_there_are_no_terrain_channels(layout, catalogue):
    layout.terrain_patches.unlink()
    samples = load_samples(layout, catalogue, DAYS).samples
    assert samples.terrain == {}
    assert middle(samples, "vv_star") == [30.0, 10.0, 100.0, 300.0, 400.0]
    assert len(samples.subset(np.array([True, False, True, False, False]))) == 2


def test_terrain_that_lacks_a_corridor_is_refused(layout, catalogue):
    store_terrain(layout, ["a", "b", "c"])
    with pytest.raises(TableError, match=r"lacks the corridors \['d'\]; materialise terrain_patches"):
        load_samples(layout, catalogue, DAYS)


def test_date_whose_previous_one_failed_contributes_nothing(layout, catalogue):
    layout.corridor_patches(DAYS[0]).unlink()
    assert len(load_samples(layout, catalogue, [DAYS[1]])) == 0


def test_missing_patches_of_a_date_are_named(layout, catalogue):
    layout.corridor_patches(DAYS[1]).unlink()
    with pytest.raises(TableError, match=rf"acquisition_date={DAYS[1]}.*table is missing"):
        load_samples(layout, catalogue, [DAYS[1]])


def test_poorer_patch_of_a_pair_decides_what_is_observable(layout, catalogue):
    store_patches(layout, DAYS[1], ["a", "b", "c", "d"], [0.0] * 4, valid=[0.4, 1.0, 1.0, 1.0])
    store_patches(
        layout,
        DAYS[2],
        ["a", "b", "c", "d", "e"],
        [0.0] * 5,
        valid=[1.0, 1.0, 0.1, 0.5, 1.0],
        visible=[1.0, 0.29, 0.1, 0.3, 1.0],
    )
    loaded = load_samples(layout, catalogue, [DAYS[2]])
    assert loaded.reasons.tolist() == [OUTSIDE_SWATH, HIDDEN, HIDDEN, None]
    assert loaded.observable.tolist() == [False, False, False, True]
    strict = DetectionSettings(min_valid_fraction=0.6, min_visible_fraction=0.05)
    assert load_samples(layout, catalogue, [DAYS[2]], detection=strict).reasons.tolist() == [
        OUTSIDE_SWATH,
        None,
        OUTSIDE_SWATH,
        OUTSIDE_SWATH,
    ]
