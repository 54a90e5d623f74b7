"""From stored tables to detections, bulletin and season report, two dates on disk."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from detection_world import FIRST, SECOND, acquisition, build_world, example_settings, pass_samples

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detection.run import detections_of_date
from avalanche_assets.detection.scoring import score_table
from avalanche_assets.detectors.base import create_detector
from avalanche_assets.errors import DetectorError, TableError
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.rasters import write_cog
from avalanche_assets.reporting.publish import publish_bulletin, publish_season_report
from avalanche_assets.settings import DetectionSettings, Settings
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDOR_PATCHES,
    CORRIDORS,
    DETECTIONS,
    TERRAIN_PATCHES,
    THRESHOLDS,
    write_geotable,
    write_table,
)

ZEROTH = date(2017, 12, 22)
CATALOGUE = AcquisitionCatalogue(tuple(acquisition(day) for day in (ZEROTH, FIRST, SECOND)))
SHADED = 3


def tensors(values) -> pa.FixedShapeTensorArray:
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))


def patch_rows(world, day, vv, vh) -> pa.Table:
    ids = world.corridors["corridor_id"].tolist()
    visible = np.full(len(ids), 0.9, np.float32)
    visible[SHADED] = 0.1
    return pa.table(
        {
            "corridor_id": ids,
            "acquisition_date": pa.array([day] * len(ids), pa.date32()),
            "vv_star": tensors(vv.astype(np.float16)),
            "vh_star": tensors(vh.astype(np.float16)),
            "valid_fraction": pa.array(np.ones(len(ids)), pa.float32()),
            "visible_fraction": pa.array(visible, pa.float32()),
            "wet_snow_fraction": pa.array(np.zeros(len(ids)), pa.float32()),
        }
    )


def terrain_rows(world) -> pa.Table:
    patches = {name: tensors(values.astype(np.float16)) for name, values in world.terrain.items()}
    constant = tensors(np.ones((len(world.corridors), 64, 64), np.float16))
    ones = pa.array(np.ones(len(world.corridors), np.float32))
    return pa.table(
        dict.fromkeys(("pixel_m", "look_azimuth_deg", "top_east_m", "top_north_m"), ones)
        | {
            "corridor_id": world.corridors["corridor_id"].tolist(),
            **patches,
            "elevation": tensors(world.terrain["elevation"].astype(np.float32)),
            "local_incidence": constant,
            "visible": constant,
        }
    )


def threshold_rows(value: float | None) -> pa.Table:
    row = {
        "detector": "change_threshold",
        "label_window": "new",
        "operating_point": "budget",
        "threshold": value,
        "value": 0.05,
        "positives": 10,
        "negatives": 200,
    }
    return pa.Table.from_pylist([row], THRESHOLDS)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Settings:
    """Three dates: quiet, a deposit in corridors 0 and 5, and corridor 0 brighter still."""
    settings = example_settings(tmp_path_factory.mktemp("root")).model_copy(
        update={"detection": DetectionSettings(detector="change_threshold")}
    )
    layout, world = settings.layout, build_world()
    write_cog(layout.dem, {"elevation": world.elevation}, world.grid, {"elevation": "m"})
    write_geotable(layout.corridors, world.corridors, CORRIDORS)
    write_table(layout.terrain_patches, terrain_rows(world), TERRAIN_PATCHES)
    write_table(layout.thresholds, threshold_rows(3.0), THRESHOLDS)
    detector = create_detector("change_threshold")
    detector.save(layout.model("change_threshold"))
    rises = pass_samples(world, FIRST, {0: 6.0, 5: 6.0, SHADED: 9.0})
    again = pass_samples(world, SECOND, {0: 12.0, 5: 6.0})
    passes = {
        ZEROTH: (rises.channel("vv_star_old"), rises.channel("vh_star_old")),
        FIRST: (rises.channel("vv_star"), rises.channel("vh_star")),
        SECOND: (again.channel("vv_star"), again.channel("vh_star")),
    }
    for day, (vv, vh) in passes.items():
        write_table(layout.corridor_patches(day), patch_rows(world, day, vv, vh), CORRIDOR_PATCHES)
    for day in passes:
        loaded = load_samples(layout, CATALOGUE, [day], detection=settings.detection)
        current, previous = CATALOGUE.get(day), CATALOGUE.previous(day)
        folders = {"change_threshold": layout.model("change_threshold")}
        table = score_table(loaded, world.corridors, world.grid, folders, current, previous)
        write_table(layout.anomaly_scores(day), table, ANOMALY_SCORES)
        write_geotable(layout.detections(day), detections_of_date(settings, CATALOGUE, day), DETECTIONS)
    return settings


def test_deposits_are_detected_then_tracked_and_shade_is_not_observable(stored):
    first = detections_of_date(stored, CATALOGUE, FIRST)
    assert np.flatnonzero(first["is_detection"]).tolist() == [0, 5]
    assert not first.loc[SHADED, "observable"]
    second = detections_of_date(stored, CATALOGUE, SECOND)
    assert np.flatnonzero(second["is_detection"]).tolist() == [0]
    columns = ["new_or_persisting", "first_seen", "times_seen"]
    assert second.loc[0, columns].tolist() == ["persisting", FIRST, 2]
    assert second.loc[0, "detector_version"] == create_detector("change_threshold").version


def test_first_date_of_a_season_is_not_observable_anywhere(stored):
    zeroth = detections_of_date(stored, CATALOGUE, ZEROTH)
    assert not zeroth["observable"].any()
    assert zeroth["reason"].notna().all()


def test_earlier_date_that_failed_does_not_stop_a_later_one(stored):
    scores = stored.layout.anomaly_scores(FIRST)
    aside = scores.rename(scores.with_suffix(".aside"))
    try:
        second = detections_of_date(stored, CATALOGUE, SECOND)
    finally:
        aside.rename(scores)
    assert second.loc[0, "new_or_persisting"] == "new"


def test_undefined_threshold_is_refused_and_nothing_is_replaced(stored):
    before = stored.layout.detections(SECOND).read_bytes()
    write_table(stored.layout.thresholds, threshold_rows(None), THRESHOLDS)
    try:
        with pytest.raises(DetectorError, match=r"change_threshold.*budget.*validation"):
            detections_of_date(stored, CATALOGUE, SECOND)
    finally:
        write_table(stored.layout.thresholds, threshold_rows(3.0), THRESHOLDS)
    assert stored.layout.detections(SECOND).read_bytes() == before


def test_bulletin_and_season_report_lie_where_the_layout_says(stored):
    bulletin = publish_bulletin(stored, CATALOGUE, SECOND)
    assert bulletin.page == stored.layout.bulletin(SECOND) / "bulletin.html"
    report = publish_season_report(stored, CATALOGUE, "2017-18")
    assert report.detections == 2
    text = report.page.read_text(encoding="utf-8")
    link = "../../bulletin/acquisition_date=2018-01-03/bulletin.html"
    assert f'href="{link}"' in text
    assert Path(report.page.parent / link).resolve() == bulletin.page.resolve()


def test_season_without_detections_is_refused(stored):
    with pytest.raises(TableError, match="no date of season 2030-31"):
        publish_season_report(stored, CATALOGUE, "2030-31")
