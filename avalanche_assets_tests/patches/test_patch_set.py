"""Streamed batches: the same numbers as loading everything, each pair once, in memory that does not grow."""

import tracemalloc
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.correction import without_scene_level
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.patches.patch_set import PAPER_CHANNELS, POOL_GROUPS, PatchSet
from avalanche_assets.patches.scene_level import LevelCounter
from avalanche_assets.tables import (
    CORRIDOR_PATCHES,
    PATCHES_PER_GROUP,
    SCENE_LEVELS,
    TERRAIN_PATCHES,
    write_table,
)

FIRST = date(2017, 12, 29)
ALL_CHANNELS = (
    *("vv_star", "vv_star_old", "vh_star", "vh_star_old", "dvv", "dvh", "elevation", "slope", "aspect"),
    *("aspect_sin", "aspect_cos", "aspect_look_sin", "aspect_look_cos", "curvature"),
    *("height_above_floor", "runout_distance", "local_incidence", "visible", "inside"),
)


def season(dates: int) -> tuple[list[str], AcquisitionCatalogue]:
    days = [FIRST + timedelta(days=6 * index) for index in range(dates)]
    passes = [
        Acquisition(
            day, datetime(day.year, day.month, day.day, 5, 43, tzinfo=UTC), "S1A", 1, "winter", "2017-18",
            "complete", (),
        )
        for day in days
    ]  # fmt: skip
    return [str(day) for day in days], AcquisitionCatalogue(tuple(passes))


def tensor(values: np.ndarray) -> pa.Array:
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))


def store_date(layout, day, ids, seed) -> None:
    """Patches of speckle, coarse so that they compress and the test is quick."""
    random = np.random.default_rng(seed)
    coarse = random.normal(-1.0, 2.0, (2, len(ids), 8, 8))
    vv, vh = np.repeat(np.repeat(coarse, 8, axis=2), 8, axis=3).astype(np.float16)
    ones = pa.array(np.ones(len(ids), np.float32))
    columns = {
        "corridor_id": ids,
        "acquisition_date": pa.array([date.fromisoformat(day)] * len(ids), pa.date32()),
        **{"vv_star": tensor(vv), "vh_star": tensor(vh)},
        **dict.fromkeys(("valid_fraction", "visible_fraction", "wet_snow_fraction"), ones),
    }
    write_table(layout.corridor_patches(day), pa.table(columns, CORRIDOR_PATCHES), CORRIDOR_PATCHES)


def store_terrain(layout, ids) -> None:
    random = np.random.default_rng(0)
    shape = (len(ids), 64, 64)
    heights = random.uniform(1000.0, 1400.0, (len(ids), 1, 1)) + 10.0 * np.arange(64.0)[::-1, None]
    flat = np.zeros(shape, bool)
    flat[:, :4] = True
    angle = {
        "slope": np.where(flat, 0.0, 30.0),
        "aspect": np.where(flat, np.nan, 350.0),
        "local_incidence": np.full(shape, 45.0),
        "visible": np.ones(shape),
        "inside": np.ones(shape),
    }
    places = {"pixel_m": 20.0, "look_azimuth_deg": 260.0, "top_east_m": 200.0, "top_north_m": 500.0}
    columns = {
        "corridor_id": ids,
        "elevation": tensor(np.broadcast_to(heights, shape).astype(np.float32)),
        **{name: tensor(values.astype(np.float16)) for name, values in angle.items()},
        **{name: pa.array([value] * len(ids), pa.float32()) for name, value in places.items()},
    }
    write_table(layout.terrain_patches, pa.table(columns, TERRAIN_PATCHES), TERRAIN_PATCHES)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[DataLayout, AcquisitionCatalogue, list[str]]:
    """Three dates of about 300 corridors, of which the second lacks some, so that rows differ."""
    layout = DataLayout(tmp_path_factory.mktemp("world"))
    days, catalogue = season(3)
    ids = [f"{index:08d}" for index in range(300)]
    for seed, (day, kept) in enumerate(zip(days, (ids, ids[5:290], ids[::-1]), strict=True)):
        store_date(layout, day, kept, seed)
    store_terrain(layout, ids)
    return layout, catalogue, days


def all_of(patches: PatchSet, size: int, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    batches = list(patches.batches(size, seed))
    return np.concatenate([one.rows for one in batches]), np.concatenate([one.images for one in batches])


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_hold_what_loading_everything_gives(world, seed):
    layout, catalogue, days = world
    samples = load_samples(layout, catalogue, days).samples
    patches = PatchSet.open(layout, catalogue, days, ALL_CHANNELS)
    assert patches.pairs["corridor_id"].tolist() == list(samples.corridor_ids)
    rows, images = all_of(patches, 100, seed)
    for index, name in enumerate(ALL_CHANNELS):
        np.testing.assert_array_equal(images[:, index], samples.channel(name, rows), err_msg=name)


def test_the_paper_s_channels_are_the_default(world):
    layout, catalogue, days = world
    patches = PatchSet.open(layout, catalogue, days[1:2])
    assert patches.channels == PAPER_CHANNELS == ("vv_star", "vv_star_old", "slope", "aspect")
    _, images = all_of(patches, 64)
    assert images.shape == (285, 4, 64, 64)
    assert images.dtype == np.float32


def test_shuffled_batches_hold_every_pair_once_mix_dates_and_repeat_with_the_seed(world):
    layout, catalogue, days = world
    patches = PatchSet.open(layout, catalogue, days, ["vv_star"])
    sizes = [len(one.rows) for one in patches.batches(64, seed=1)]
    assert sizes == [64] * (len(patches) // 64) + [len(patches) % 64]
    rows, images = all_of(patches, 64, seed=1)
    assert sorted(rows) == list(range(len(patches)))
    again = all_of(patches, 64, seed=1)
    np.testing.assert_array_equal(rows, again[0])
    np.testing.assert_array_equal(images, again[1])
    assert (rows != all_of(patches, 64, seed=2)[0]).any()
    assert patches.pairs["date"].iloc[rows[:64]].nunique() == 2
    assert (all_of(patches, 64)[0] == np.arange(len(patches))).all()


def test_only_what_is_selected_is_read(world):
    layout, catalogue, days = world
    patches = PatchSet.open(layout, catalogue, days, ["vv_star"])
    chosen = patches.subset((patches.pairs["corridor_id"] >= "00000280").to_numpy() & patches.observable)
    rows, images = all_of(chosen, 7, seed=5)
    assert len(rows) == len(chosen) == 20
    full = all_of(patches, 64)[1]
    expected = full[np.flatnonzero(patches.pairs["corridor_id"] >= "00000280")]
    np.testing.assert_array_equal(images, expected[rows])
    some = PatchSet.open(layout, catalogue, days, corridors=["00000007", "unknown"])
    assert some.pairs["corridor_id"].tolist() == ["00000007"] * 2
    assert list(PatchSet.open(layout, catalogue, days[:1]).batches(10)) == []


def test_unknown_channels_are_named(world):
    layout, catalogue, days = world
    with pytest.raises(DetectorError, match=r"no channels \['vv'\]; known are"):
        PatchSet.open(layout, catalogue, days, ["vv_star", "vv"])


def test_terrain_channels_have_the_values_computed_by_hand(world):
    layout, catalogue, days = world
    names = ALL_CHANNELS[9:16]
    _, images = all_of(PatchSet.open(layout, catalogue, days[1:2], names), 300)
    value = dict(zip(names, images[0], strict=True))
    # the radar looks at 260 degrees, the slope faces 350: a quarter turn to the right of it
    assert value["aspect_look_sin"][40, 5] == pytest.approx(1.0)
    assert value["aspect_look_cos"][40, 5] == pytest.approx(0.0, abs=1e-6)
    assert value["aspect_sin"][40, 5] == pytest.approx(np.sin(np.radians(350)), abs=1e-6)
    assert value["aspect_cos"][40, 5] == pytest.approx(np.cos(np.radians(350)), abs=1e-6)
    for name in names[:4]:
        assert (value[name][:4] == 0).all()  # flat ground faces nowhere
    # rows climb 10 m northward; 20 m pixels: 630 m over 63 rows
    assert value["height_above_floor"][0, 0] == 630.0
    assert value["height_above_floor"][63, 9] == 0.0
    assert np.isnan(value["curvature"][0]).all()
    np.testing.assert_allclose(
        value["curvature"][1:-1, 1:-1], 0.0, atol=1e-3
    )  # float32 of 1.5 km over 400 m2
    # the top lies 10 pixels east and 25 north of the deposit pixel (32, 32)
    assert value["runout_distance"][7, 42] == 0.0
    assert value["runout_distance"][32, 32] == pytest.approx(np.hypot(200.0, 500.0))


def test_a_date_that_jumps_is_levelled_and_streaming_agrees_with_loading(world):
    layout, catalogue, days = world
    elevation = load_samples(layout, catalogue, days).samples.channel("elevation")[:200]
    for day, jump in zip(days, (0.0, 3.2, 0.0), strict=True):
        counter = LevelCounter()
        level = np.where(elevation < 1300, jump - 5.0, jump).astype(np.float32)
        flat = level.reshape(-1, 64)
        counter.add({"vv_star": flat, "vh_star": flat}, np.ones(flat.shape, bool), elevation.reshape(-1, 64))
        table = counter.levels().to_table(date.fromisoformat(day))
        write_table(layout.scene_levels(day), table, SCENE_LEVELS)
    raw = load_samples(layout, catalogue, days)
    levelled = without_scene_level(raw, layout, catalogue).samples
    first = raw.samples.dates.index(date.fromisoformat(days[1]))
    high = raw.samples.channel("elevation") > 1500
    moved = levelled.channel("dvv") - raw.samples.channel("dvv")
    # a bin of the counter is 0.02 dB, a float16 of up to 8 dB 0.008 dB
    np.testing.assert_allclose(moved[first][high[first]], -3.2, atol=0.05)
    moved_own = levelled.channel("vv_star") - raw.samples.channel("vv_star")
    low = raw.samples.channel("elevation") < 1100
    np.testing.assert_allclose(moved_own[first][low[first]], 5.0 - 3.2, atol=0.05)
    patches = PatchSet.open(layout, catalogue, days, ["vv_star", "dvv", "slope"], corrected=True)
    rows, images = all_of(patches, 100, seed=1)
    for index, name in enumerate(patches.channels):
        np.testing.assert_array_equal(images[:, index], levelled.channel(name, rows))


def peak_mb(layout, catalogue, days) -> float:
    """Most memory held by numpy and Arrow while a season's batches pass."""
    patches = PatchSet.open(layout, catalogue, days)
    pool = pa.default_memory_pool()
    tracemalloc.start()
    start, most = pool.bytes_allocated(), 0
    for batch in patches.batches(128, seed=1):
        most = max(most, tracemalloc.get_traced_memory()[1] + pool.bytes_allocated() - start)
        del batch
    tracemalloc.stop()
    return most / 1e6


@pytest.mark.integration
def test_memory_follows_the_batch_and_not_the_season(tmp_path):
    layout, corridors = DataLayout(tmp_path), 2 * PATCHES_PER_GROUP
    days, catalogue = season(25)
    ids = [f"{index:08d}" for index in range(corridors)]
    store_terrain(layout, ids)
    for seed, day in enumerate(days):
        store_date(layout, day, ids, seed)
    short, long = (peak_mb(layout, catalogue, days[:count]) for count in (9, 25))
    pool_mb = 2 * POOL_GROUPS * PATCHES_PER_GROUP * 64 * 64 * 2 / 1e6
    season_mb = 24 * corridors * 2 * 64 * 64 * 2 / 1e6
    # three times the season in the same memory, which is some copies of the pool and less than the season
    assert long < 1.1 * short
    assert long < 4 * pool_mb < season_mb
