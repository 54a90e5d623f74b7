"""Detectors against mapped deposits: the join with the pairs, the ceiling, and recall by class."""

from datetime import timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from learning_world import CATALOGUE, DAYS, LearningWorld
from shapely.geometry import Point

from avalanche_assets.detectors.against_truth import against_truth, read_deposits, truth_of_pairs
from avalanche_assets.detectors.evaluation import (
    evaluate,
    normalised_pairs,
    store_background,
    store_thresholds,
)
from avalanche_assets.errors import DetectorError
from avalanche_assets.rasters import write_cog
from avalanche_assets.settings import DetectionSettings


@pytest.fixture
def world(tmp_path):
    world = LearningWorld(tmp_path)
    store_background(world.layout)
    store_thresholds(world.layout, DetectionSettings())
    grid = world.world.grid
    angle, hidden = np.full(grid.shape, 40.0, np.float32), np.zeros(grid.shape, np.float32)
    last = world.world.corridors.iloc[-1]
    row, col = grid.row_col(last["deposit_x"], last["deposit_y"])
    hidden[row - 2 : row + 3, col - 2 : col + 3] = 1  # the last corridor's deposit lies in layover
    units = {"local_incidence": "deg", "visibility": "1"}
    write_cog(world.layout.track_geometry, {"local_incidence": angle, "visibility": hidden}, grid, units)
    return world


def deposit(world, corridor, day, hours=-30.0, **changes):
    """A deposit some hours before an overpass."""
    row = world.world.corridors.iloc[corridor]
    return {
        "corridor_id": row["corridor_id"],
        "instant": pd.Timestamp(CATALOGUE.get(day).overpass + timedelta(hours=hours)),
        "size": "D3",
        "wet": False,
        "visible": True,
        "geometry": Point(row["deposit_x"], row["deposit_y"]).buffer(30),
        **changes,
    }


def deposits(world, rows):
    return gpd.GeoDataFrame(rows, geometry="geometry", crs=world.world.grid.crs)


def all_positive(world):
    """A visible deposit in every positive test pair but the last corridor's."""
    return [
        deposit(world, corridor, day, size="D3" if corridor % 2 else "D2")
        for day in DAYS[-2:]
        for corridor in np.flatnonzero(world.positive[day])
    ]


def judged(world, rows):
    found = evaluate(world.layout)
    truth = truth_of_pairs(deposits(world, rows), world.layout, CATALOGUE, found.test)
    return against_truth(truth, found, normalised_pairs(world.layout, "validation"), "new", "budget")


def test_a_deposit_belongs_to_the_pair_whose_overpasses_enclose_it(world):
    test = evaluate(world.layout).test
    last = DAYS[-1]
    rows = [deposit(world, 0, last, hours) for hours in (-0.1, -143.9, -144.1, 0.1)]
    truth = truth_of_pairs(deposits(world, rows), world.layout, CATALOGUE, test)
    found = sorted(
        (test.dates[row], round(age, 2)) for row, age in zip(truth["row"], truth["age_days"], strict=True)
    )
    # six days between passes: the third fell before the previous overpass, the fourth after this one
    assert found == [(DAYS[-2], 0.0), (last, 0.0), (last, 6.0)]
    assert set(truth["local_incidence"]) == {40.0}


def test_deposit_in_layover_is_not_visible(world):
    test = evaluate(world.layout).test
    rows = [deposit(world, 11, DAYS[-1]), deposit(world, 0, DAYS[-1])]
    truth = truth_of_pairs(deposits(world, rows), world.layout, CATALOGUE, test)
    assert truth.set_index("corridor_id")["visible"].to_dict() == {world.ids[11]: False, world.ids[0]: True}


def test_ceiling_is_what_a_perfect_detector_reaches_against_the_labels(world):
    rows = all_positive(world)
    visible = [row for row in rows if row["corridor_id"] != world.ids[11]]
    found = judged(world, rows)
    assert found.visible == len(visible)
    assert found.ceiling["precision"] == pytest.approx(1.0)
    assert found.ceiling["recall"] == pytest.approx(len(visible) / len(rows))
    halved = judged(world, visible[::2])
    assert halved.ceiling["recall"] == pytest.approx(len(visible[::2]) / len(rows))
    assert halved.ceiling["balanced_accuracy"] < 1


def test_recall_and_false_alarms_are_those_of_the_frozen_threshold(world):
    found = judged(world, [row for row in all_positive(world) if row["corridor_id"] != world.ids[11]])
    detector = found.detectors["vae_local"]
    test = normalised_pairs(world.layout, "test")
    scores = test.scores["vae_local"]
    states = np.array(
        [world.positive[day][world.ids.index(name)] and name != world.ids[11]
         for name, day in zip(test.corridor_ids, test.dates, strict=True)]
    )  # fmt: skip
    cut = evaluate(world.layout).threshold("vae_local", "new", "budget")
    assert detector.recall[0.05].value == pytest.approx(np.mean(scores[states] >= cut))
    assert detector.false_alarms[0.05].value == pytest.approx(np.mean(scores[~states] >= cut))
    assert detector.roc_auc.low <= detector.roc_auc.value <= detector.roc_auc.high
    assert detector.gain is None  # the rival is not among the detectors


def test_alarms_on_invisible_deposits_are_neither_hits_nor_false_alarms(world):
    rows = all_positive(world)
    invisible = [{**row, "visible": False} for row in rows[::2]]
    found = judged(world, invisible + rows[1::2])
    assert found.visible <= len(rows[1::2])
    without = judged(world, rows[1::2])
    # leaving them in as negatives would count their high scores as false alarms
    first, second = (one.detectors["vae_local"].false_alarms[0.05].value for one in (found, without))
    assert first < second


def test_recall_is_given_by_size_incidence_snow_and_age(world):
    rows = all_positive(world)
    rows[0]["wet"] = True
    found = judged(world, rows)
    assert set(found.strata) == {"size", "local incidence (degrees)", "snow", "age (days)"}
    sizes = pd.Series([row["size"] for row in rows]).value_counts()
    assert {name: count for name, (count, _) in found.strata["size"].items()} == sizes.to_dict()
    assert set(found.strata["snow"]) == {"wet", "dry"}
    assert set(found.strata["local incidence (degrees)"]) == {"30 to 45"}
    assert set(found.strata["age (days)"]) == {" 0 to 2"}
    for classes in found.strata.values():
        assert all(0 <= recalls["vae_local"].value <= 1 for _, recalls in classes.values())


def test_deposits_are_read_from_a_file_or_a_folder_and_missing_columns_are_named(world, tmp_path):
    frame = deposits(world, all_positive(world))
    frame.to_parquet(tmp_path / "deposits.parquet")
    assert len(read_deposits(tmp_path)) == len(read_deposits(tmp_path / "deposits.parquet")) == len(frame)
    frame.drop(columns="wet").to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DetectorError, match=r"other\.parquet: lacks the columns \['wet'\]"):
        read_deposits(tmp_path / "other.parquet")
    with pytest.raises(DetectorError, match="not a readable GeoParquet"):
        read_deposits(tmp_path / "none.parquet")
