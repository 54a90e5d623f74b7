"""From stored tables to detections, bulletin and season report, two dates on disk."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from detection_world import FIRST, SECOND, acquisition, build_world, example_settings, pass_samples
from model_cards import example_card, example_threshold

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detection import plausible
from avalanche_assets.detection.publishing import publish_scores
from avalanche_assets.detection.run import detections_of_date
from avalanche_assets.detection.scoring import score_table
from avalanche_assets.detectors.base import create_detector
from avalanche_assets.detectors.card import ModelCard
from avalanche_assets.detectors.normalisation import Level
from avalanche_assets.detectors.registry import latest, promote, register, require_promoted
from avalanche_assets.errors import DetectorError, TableError
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.patches.loading import tensors as tensors_of
from avalanche_assets.rasters import write_cog
from avalanche_assets.reporting.publish import publish_bulletin, publish_season_report, season_so_far
from avalanche_assets.settings import DetectionSettings, Settings
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDOR_PATCHES,
    CORRIDORS,
    DETECTIONS,
    PUBLISHED_SCORES,
    SEASON_SUMMARY,
    TERRAIN_PATCHES,
    read_table,
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


def card_with(settings, threshold: float | None) -> ModelCard:
    """The card of the baseline: dB scores as they are, since the long-run level has median 0 and spread 1."""
    return example_card(
        settings,
        detector="change_threshold",
        model_version=create_detector("change_threshold").version,
        normalisation=Level(0.0, 1.0),
        thresholds=(example_threshold(threshold),),
    )


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
    detector = create_detector("change_threshold")
    detector.save(layout.model("change_threshold"))
    model = register(layout, card_with(settings, 3.0))
    promote(layout, model.version)
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
        published = publish_scores(settings, CATALOGUE, day, model)
        write_table(layout.published_scores(day), published, PUBLISHED_SCORES)
        write_geotable(layout.detections(day), detections_of_date(settings, CATALOGUE, day)[0], DETECTIONS)
    return settings


def detected(settings, day):
    return detections_of_date(settings, CATALOGUE, day)[0]


def test_deposits_are_detected_then_tracked_and_shade_is_not_observable(stored):
    first = detected(stored, FIRST)
    assert np.flatnonzero(first["is_detection"]).tolist() == [0, 5]
    assert not first.loc[SHADED, "observable"]
    second = detected(stored, SECOND)
    assert np.flatnonzero(second["is_detection"]).tolist() == [0]
    columns = ["new_or_persisting", "first_seen", "times_seen"]
    assert second.loc[0, columns].tolist() == ["persisting", FIRST, 2]
    assert second.loc[0, "detector_version"] == require_promoted(stored.layout).version


def test_published_scores_are_in_spreads_and_keep_the_raw_ones(stored):
    raw = read_table(stored.layout.anomaly_scores(FIRST), ANOMALY_SCORES)["score"].to_numpy()
    table = read_table(stored.layout.published_scores(FIRST), PUBLISHED_SCORES)
    known = raw[np.isfinite(raw)]
    own = Level(float(np.median(known)), 1.4826 * float(np.median(np.abs(known - np.median(known)))))
    share = len(known) / 200  # 11 corridors seen: mostly the long-run level
    median, spread = share * own.median, share * own.spread + (1 - share)
    np.testing.assert_allclose(table["score"].to_numpy(), (raw - median) / spread)
    np.testing.assert_array_equal(table["raw_score"].to_numpy(), raw)


def test_every_detection_has_its_residual_map(stored):
    frame, residuals = detections_of_date(stored, CATALOGUE, FIRST)
    found = frame[frame["is_detection"]]
    assert residuals["detection_id"].to_pylist() == found["detection_id"].tolist()
    peak = tensors_of(residuals["residual"])[0].astype(float)
    row, col = np.unravel_index(np.nanargmax(peak), peak.shape)
    # the deposit is drawn around the patch's centre, 5 pixels long each way
    assert abs(row - 32) <= 5
    assert abs(col - 32) <= 5
    quiet, none = detections_of_date(stored, CATALOGUE, ZEROTH)
    assert not quiet["is_detection"].any()
    assert none.num_rows == 0


def test_training_again_changes_no_detection_until_somebody_promotes(stored, tmp_path):
    copy = stored.model_copy(update={"data_root": tmp_path})
    shutil.copytree(stored.data_root, tmp_path, dirs_exist_ok=True)
    before = detected(copy, SECOND)
    table = read_table(copy.layout.anomaly_scores(SECOND), ANOMALY_SCORES)
    other = table.set_column(
        table.schema.get_field_index("detector_version"),
        ANOMALY_SCORES.field("detector_version"),
        pa.array(["another"] * table.num_rows),
    )
    write_table(copy.layout.anomaly_scores(SECOND), other, ANOMALY_SCORES)
    model = require_promoted(copy.layout)
    again = publish_scores(copy, CATALOGUE, SECOND, model)
    # the stored scores are of another version now: the promoted model scored the date itself
    assert again.equals(read_table(copy.layout.published_scores(SECOND), PUBLISHED_SCORES))
    register(copy.layout, card_with(copy, -0.5))
    assert detected(copy, SECOND).equals(before)
    promote(copy.layout, latest(copy.layout).version)
    with pytest.raises(DetectorError, match="not the scores of the promoted model"):
        detected(copy, SECOND)
    for day in (FIRST, SECOND):
        published = publish_scores(copy, CATALOGUE, day, latest(copy.layout))
        write_table(copy.layout.published_scores(day), published, PUBLISHED_SCORES)
    assert detected(copy, SECOND)["is_detection"].sum() > before["is_detection"].sum()


def test_first_date_of_a_season_is_not_observable_anywhere(stored):
    zeroth = detected(stored, ZEROTH)
    assert not zeroth["observable"].any()
    assert zeroth["reason"].notna().all()


def test_earlier_date_that_failed_does_not_stop_a_later_one(stored):
    scores = stored.layout.published_scores(FIRST)
    aside = scores.rename(scores.with_suffix(".aside"))
    try:
        second = detected(stored, SECOND)
    finally:
        aside.rename(scores)
    assert second.loc[0, "new_or_persisting"] == "new"


def test_undefined_threshold_is_refused_and_says_why(stored, tmp_path):
    copy = stored.model_copy(update={"data_root": tmp_path})
    shutil.copytree(stored.data_root, tmp_path, dirs_exist_ok=True)
    promote(copy.layout, register(copy.layout, card_with(copy, None)).version)
    with pytest.raises(DetectorError, match=r"change_threshold.*budget.*no positives at all.*validation"):
        detected(copy, SECOND)


def test_no_detections_without_a_promoted_model(stored, tmp_path):
    with pytest.raises(DetectorError, match="no model is promoted; materialise promoted_model"):
        detections_of_date(stored.model_copy(update={"data_root": tmp_path}), CATALOGUE, SECOND)


def test_bulletin_and_season_report_lie_where_the_layout_says(stored):
    bulletin = publish_bulletin(stored, CATALOGUE, SECOND)
    assert bulletin.page == stored.layout.bulletin(SECOND) / "bulletin.html"
    report = publish_season_report(stored, CATALOGUE, "2017-18")
    assert report.detections == 2
    text = report.page.read_text(encoding="utf-8")
    link = "../../bulletin/acquisition_date=2018-01-03/bulletin.html"
    assert f'href="{link}"' in text
    assert Path(report.page.parent / link).resolve() == bulletin.page.resolve()


def test_damaged_earlier_date_holds_up_no_bulletin(stored):
    table = stored.layout.detections(FIRST)
    whole = table.read_bytes()
    table.write_bytes(whole[:100])
    try:
        page = publish_bulletin(stored, CATALOGUE, SECOND).page.read_text(encoding="utf-8")
    finally:
        table.write_bytes(whole)
    assert "Since 28 December" not in page
    assert "Since 28 December" in publish_bulletin(stored, CATALOGUE, SECOND).page.read_text(encoding="utf-8")


@pytest.fixture
def doubtful(stored, tmp_path, monkeypatch):
    """Settings under which FIRST, with two of eleven corridors, has more detections than can be true."""
    monkeypatch.setattr(plausible, "FEW", 1)
    shutil.copytree(stored.data_root, tmp_path, dirs_exist_ok=True)
    detection = stored.detection.model_copy(update={"max_detected_share": 0.15})
    return stored.model_copy(update={"data_root": tmp_path, "detection": detection})


def test_date_with_too_many_detections_gets_no_bulletin(doubtful):
    with pytest.raises(DetectorError, match="2 of 11 observable corridors are detected; compare VV"):
        publish_bulletin(doubtful, CATALOGUE, FIRST)
    assert not doubtful.layout.bulletin(FIRST).exists()


def test_bulletin_after_a_date_held_back_says_so_and_counts_nothing_of_it(doubtful, stored):
    page = publish_bulletin(doubtful, CATALOGUE, SECOND).page.read_text(encoding="utf-8")
    assert "Previous date held back" in page
    assert "On 28 December 2017 more corridors" in page
    assert "Still visible" not in page
    indices = [item.index for item in season_so_far(doubtful, CATALOGUE, SECOND)]
    accepted = [item.index for item in season_so_far(stored, CATALOGUE, SECOND)]
    assert accepted[:2] == [None, pytest.approx(100 * 2 / 11)]
    assert (indices[:2], indices[2]) == ([None, None], accepted[2])
    assert "Previous date held back" not in publish_bulletin(stored, CATALOGUE, SECOND).page.read_text(
        "utf-8"
    )


def test_french_bulletin_names_the_date_held_back(doubtful):
    page = publish_bulletin(doubtful, CATALOGUE, SECOND).page.with_name("bulletin.fr.html")
    assert "Date précédente retenue" in page.read_text(encoding="utf-8")


def test_no_track_begins_at_a_date_held_back(doubtful, stored):
    assert detected(stored, SECOND).loc[0, "new_or_persisting"] == "persisting"
    assert detected(doubtful, SECOND).loc[0, "new_or_persisting"] == "new"


def test_date_whose_false_detections_were_rejected_is_held_back_no_more(doubtful):
    verdict = f"73040001,{FIRST},reject,,AB,"
    path = doubtful.layout.reviews
    path.parent.mkdir(parents=True)
    path.write_text(f"corridor_id,acquisition_date,verdict,first_seen,reviewer,comment\n{verdict}\n")
    write_geotable(doubtful.layout.detections(FIRST), detected(doubtful, FIRST), DETECTIONS)
    assert publish_bulletin(doubtful, CATALOGUE, FIRST).counts.detections == 1
    assert detected(doubtful, SECOND).loc[0, "first_seen"] == FIRST


def test_season_report_names_dates_held_back_and_counts_them_nowhere(doubtful):
    report = publish_season_report(doubtful, CATALOGUE, "2017-18")
    assert report.detections == 0
    text = report.page.read_text(encoding="utf-8")
    assert "Dates held back" in text
    assert "counted here: 28 December 2017." in text
    assert (
        str(FIRST)
        not in read_table(report.summary, SEASON_SUMMARY)["acquisition_date"].cast("string").to_pylist()
    )


def test_season_without_detections_is_refused(stored):
    with pytest.raises(TableError, match="no date of season 2030-31"):
        publish_season_report(stored, CATALOGUE, "2030-31")
