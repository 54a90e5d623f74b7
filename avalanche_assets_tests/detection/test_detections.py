"""The detections table: schema, tracks, quality, and corridors that could not be seen."""

from datetime import date

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
from detection_world import (
    FIRST,
    RULE,
    SECOND,
    acquisition,
    build_world,
    detections_of,
    pass_samples,
    patch_table,
    score_table,
)
from shapely.geometry import Point, box

from avalanche_assets.detection.quality import quality_class, score_spread
from avalanche_assets.detection.table import NOT_SCORED, DecisionRule, build_detections
from avalanche_assets.detection.tracks import Sighting, detection_id, sightings, track
from avalanche_assets.errors import DetectorError
from avalanche_assets.tables import DETECTIONS, PUBLISHED_SCORES, read_geotable, write_geotable

HIDDEN = {2: "layover or shadow", 3: "no previous acquisition within 24 days"}


@pytest.fixture(scope="module")
def world():
    return build_world()


@pytest.fixture(scope="module")
def second(world):
    first = score_table(world, FIRST, {0: 6.0, 1: 5.0}, {})
    return detections_of(world, SECOND, {0: 6.0, 5: 7.0}, HIDDEN, first)


def test_every_corridor_has_one_row(world, second):
    assert list(second["corridor_id"]) == list(world.corridors["corridor_id"])
    assert second["detection_id"].is_unique


def test_table_round_trips_with_both_geometries(second, tmp_path):
    path = tmp_path / "detections.parquet"
    write_geotable(path, second, DETECTIONS)
    back = read_geotable(path, DETECTIONS)
    assert back.geometry.geom_equals(second.geometry).all()
    assert gpd.GeoSeries(back["corridor_geometry"]).geom_equals(second["corridor_geometry"]).all()
    assert back.crs == second.crs
    assert back.loc[0, "first_seen"] == FIRST
    assert back.loc[0, "window_end"] == acquisition(SECOND).overpass


def test_corridor_that_could_not_be_seen_is_never_quiet(second):
    for index, reason in HIDDEN.items():
        row = second.loc[index]
        assert (row["observable"], row["is_detection"], row["reason"]) == (False, False, reason)
        assert np.isnan(row["score"])


def test_corridor_without_score_is_listed_as_not_observable(world):
    scores = score_table(world, SECOND, {}, {}).slice(1)
    nothing = pass_samples(world, SECOND, {}).subset(np.array([], np.int64))
    found = build_detections(
        world.corridors,
        scores,
        patch_table(world).slice(1),
        nothing,
        np.empty((0, 64, 64), np.float32),
        RULE,
        acquisition(SECOND),
        None,
        PUBLISHED_SCORES.empty_table(),
        world.grid,
    )
    assert len(found) == len(world.corridors)
    assert (found.loc[0, "observable"], found.loc[0, "reason"]) == (False, NOT_SCORED)
    assert found["window_start"].isna().all()
    assert found.geometry.is_empty.all()


def test_quiet_corridor_has_no_evidence(second):
    quiet = second.loc[4]
    assert quiet["observable"]
    assert quiet.geometry.is_empty
    evidence = ["quality", "new_or_persisting", "first_seen", "times_seen", "area_m2", "dvv_mean_db"]
    assert quiet[evidence].isna().all()


def test_outline_lies_at_the_deposit_with_its_contrast(world, second):
    for index in (0, 5):
        row, corridor = second.loc[index], world.corridors.loc[index]
        centre = row.geometry.centroid
        # The deposit is drawn around the deposit point; its outline may be off by two 20 m pixels.
        assert np.hypot(centre.x - corridor.deposit_x, centre.y - corridor.deposit_y) < 45
        assert 3.5 < row["dvv_mean_db"] < 9
        assert row["elevation_min_m"] <= row["elevation_max_m"]
        assert row["area_m2"] == row.geometry.area


def test_detection_seen_before_persists_and_another_is_new(second):
    assert second.loc[0, ["new_or_persisting", "times_seen"]].tolist() == ["persisting", 2]
    assert second.loc[5, ["new_or_persisting", "first_seen", "times_seen"]].tolist() == ["new", SECOND, 1]


def test_persisting_anomaly_keeps_the_id_of_its_first_detection(second):
    assert second.loc[0, "track_id"] == detection_id("73040001", FIRST, RULE.detector)
    assert second.loc[0, "detection_id"] == detection_id("73040001", SECOND, RULE.detector)
    assert second.loc[5, "track_id"] == second.loc[5, "detection_id"]


def test_last_seen_is_the_latest_date_with_a_detection_in_the_corridor(second):
    # Corridor 1 was detected at the first date only, 0 at both, 4 never.
    assert second["last_seen"].iloc[[0, 1, 5]].tolist() == [SECOND, FIRST, SECOND]
    assert second.loc[4, "last_seen"] is None


def test_place_is_inside_the_anomaly_or_at_the_deposit_point(world, second):
    places = gpd.GeoSeries.from_xy(second["longitude"], second["latitude"], crs="EPSG:4326").to_crs(
        second.crs
    )
    assert places.iloc[[0, 5]].within(second.geometry.iloc[[0, 5]]).all()
    deposits = gpd.GeoSeries.from_xy(
        world.corridors["deposit_x"], world.corridors["deposit_y"], crs=second.crs
    )
    # Seven decimals of a degree are one centimetre.
    assert places[4].distance(deposits[4]) < 0.02


def test_what_was_wet_before_is_no_clear_sight(world):
    refrozen = patch_table(world).set_column(
        3, "previous_wet_snow_fraction", pa.array([0.9] * len(world.corridors), pa.float32())
    )
    dry, wet = (
        detections_of(world, SECOND, {0: 3.1}, patches=patches).loc[0] for patches in (None, refrozen)
    )
    assert (dry["quality"], wet["quality"]) == ("B", "C")


def test_same_inputs_give_the_same_table(world, second):
    first = score_table(world, FIRST, {0: 6.0, 1: 5.0}, {})
    again = detections_of(world, SECOND, {0: 6.0, 5: 7.0}, HIDDEN, first)
    assert again.equals(second)


def test_detection_id_is_corridor_date_and_detector():
    assert detection_id("73040001", SECOND, "vae_local") == "73040001-20180103-vae_local"


def test_undefined_threshold_is_refused():
    with pytest.raises(DetectorError, match=r"vae.*mapping.*validation_dates"):
        DecisionRule("vae", "1", "mapping", float("nan"))


def test_detected_corridor_without_patches_is_refused(world):
    with pytest.raises(DetectorError, match="73040001"):
        build_detections(
            world.corridors,
            score_table(world, SECOND, {0: 9.0}, {}),
            patch_table(world),
            pass_samples(world, SECOND, {}).subset(np.array([1])),
            np.zeros((1, 64, 64), np.float32),
            RULE,
            acquisition(SECOND),
            acquisition(FIRST),
            PUBLISHED_SCORES.empty_table(),
            world.grid,
        )


@pytest.mark.parametrize(("gap", "state"), [(-50, "persisting"), (60, "persisting"), (61, "new")])
def test_peak_within_60_m_of_the_outline_is_the_same_deposit(gap, state):
    before = [Sighting(FIRST, Point(100 + gap, 50))]
    assert track(box(0, 0, 100, 100), SECOND, before).state == state


def test_track_counts_back_to_the_first_date_without_detection(world):
    days = [date(2017, 12, 16), date(2017, 12, 22), FIRST, SECOND]
    tables = [
        score_table(world, days[0], {0: 6.0}, {}),
        score_table(world, days[1], {}, {}),
        score_table(world, days[2], {0: 6.0}, {}),
        score_table(world, days[3], {0: 6.0}, {}),
    ]
    before = sightings(pa.concat_tables(tables), RULE.threshold)["73040001"]
    peak = before[0].peak
    found = track(peak.buffer(50), date(2018, 1, 9), before)
    assert (found.state, found.first_seen, found.times_seen) == ("persisting", FIRST, 3)


def test_track_neither_ends_nor_counts_where_nobody_could_look(world):
    tables = [
        score_table(world, FIRST, {0: 6.0}, {}),
        score_table(world, SECOND, {}, {0: "layover or shadow"}),
    ]
    before = sightings(pa.concat_tables(tables), RULE.threshold)["73040001"]
    found = track(before[0].peak.buffer(50), date(2018, 1, 9), before)
    assert (found.first_seen, found.times_seen) == (FIRST, 2)


def test_detection_without_earlier_sighting_is_new():
    found = track(box(0, 0, 1, 1), SECOND, [])
    assert (found.state, found.first_seen, found.times_seen) == ("new", SECOND, 1)


@pytest.mark.parametrize(
    ("margin", "visible", "wet", "seen", "expected"),
    [
        (5.0, 0.9, 0.0, 1, "A"),
        (1.0, 0.9, 0.0, 2, "A"),
        (5.0, 0.4, 0.0, 2, "A"),
        (1.0, 0.9, 0.0, 1, "B"),
        (5.0, 0.9, 0.6, 1, "B"),
        (1.0, 0.9, 0.6, 1, "C"),
        (float("nan"), float("nan"), float("nan"), 1, "C"),
    ],
)
def test_quality_counts_margin_sight_and_repeat(margin, visible, wet, seen, expected):
    found = quality_class(margin=margin, visible_fraction=visible, wet_snow_fraction=wet, times_seen=seen)
    assert found == expected


def test_score_just_above_the_threshold_is_of_lower_quality_than_one_far_above(world):
    found = detections_of(world, SECOND, {0: 3.1, 5: 9.0})
    # Both are in plain sight and new; the quiet scores spread by 0.3, so 3.1 clears 3.0 by a third of that.
    assert found.loc[[0, 5], "quality"].tolist() == ["B", "A"]


def test_score_spread_is_the_standard_deviation_of_normal_scores_despite_outliers():
    scores = np.random.default_rng(0).normal(2.0, 0.5, 4000)
    scores[:40] = 100.0
    scores[40:80] = np.nan
    # 1 % outliers move the median absolute deviation by about 1 %; 2 % is its sampling error.
    assert score_spread(scores) == pytest.approx(0.5, rel=0.05)
