"""Levels from training pairs, thresholds from validation pairs, one test: nobody reads what is not his."""

import numpy as np
import pytest
from learning_world import DAYS, ROLES, LearningWorld

from avalanche_assets.detectors.evaluation import (
    evaluate,
    store_background,
    store_thresholds,
)
from avalanche_assets.detectors.scored import scored_labels
from avalanche_assets.errors import DetectorError
from avalanche_assets.files import sha256
from avalanche_assets.layout import DataLayout
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import EVALUATION, THRESHOLDS, read_table, write_table

STEPS = {
    "train": ("score_background", store_background),
    "validation": ("thresholds", lambda layout: store_thresholds(layout, DetectionSettings())),
    "test": (
        "evaluation",
        lambda layout: write_table(layout.evaluation, evaluate(layout).table, EVALUATION),
    ),
}


@pytest.fixture
def world(tmp_path):
    world = LearningWorld(tmp_path)
    for _, step in STEPS.values():
        step(world.layout)
    return world


@pytest.mark.parametrize("role", STEPS)
def test_each_step_reads_the_dates_of_its_role_alone(world, role):
    """No test data in any choice: files of all other dates are garbage, and the result stays the same."""
    name, step = STEPS[role]
    before = sha256(getattr(world.layout, name))
    for day in DAYS:
        if ROLES.get(day) != role:
            for table in ("anomaly_scores", "corridor_labels", "corridor_patches", "scene_levels"):
                getattr(world.layout, table)(day).write_bytes(b"not to be read")
    getattr(world.layout, name).unlink()
    step(world.layout)
    assert sha256(getattr(world.layout, name)) == before


def test_evaluation_names_its_numbers_and_frozen_thresholds(world):
    found = evaluate(world.layout)
    threshold = found.threshold("vae_local", "new", "budget")
    rows = [row for row in found.table.to_pylist() if row["operating_point"] == "budget"]
    assert {row["threshold"] for row in rows if row["label_window"] == "new"} == {threshold}
    assert found.threshold("unknown", "new", "budget") is None


def test_two_versions_of_a_detector_are_never_mixed(world):
    world.write_scores(DAYS[-1], np.arange(12.0), version="v2")
    with pytest.raises(
        DetectorError, match=r"vae_local scored \['2018-02-20'\] as version v2 and other dates"
    ):
        scored_labels(world.layout, "test")


def test_dates_without_scores_are_left_out_and_no_date_at_all_is_an_error(world):
    world.layout.anomaly_scores(DAYS[-1]).unlink()
    test = scored_labels(world.layout, "test")
    assert test.left_out == [DAYS[-1]]
    assert set(test.dates) == {DAYS[-2]}
    world.layout.anomaly_scores(DAYS[-2]).unlink()
    with pytest.raises(DetectorError, match="none of the test dates"):
        scored_labels(world.layout, "test")


def test_clusters_are_massif_and_date(world):
    test = scored_labels(world.layout, "test")
    massif = world.world.corridors.set_index("corridor_id")["massif_id"]
    pairs = {
        (massif[name], day): number
        for name, day, number in zip(test.corridor_ids, test.dates, test.clusters, strict=True)
    }
    assert len(set(test.clusters)) == len(pairs) == len(set(pairs.values()))
    assert len(test.inside(11)) == 2 * int((massif == 11).sum())


def test_scores_of_another_training_are_read_beside_the_stored_labels(world, tmp_path):
    other = DataLayout(tmp_path / "other")
    for day in DAYS:
        source = world.layout.anomaly_scores(day)
        target = other.anomaly_scores(day)
        target.parent.mkdir(parents=True)
        target.write_bytes(source.read_bytes())
    store_background(world.layout, other)
    store_thresholds(world.layout, DetectionSettings(), other)
    assert sha256(other.thresholds) == sha256(world.layout.thresholds)
    both = evaluate(world.layout, [world.layout, other]).table
    assert set(both["trainings"].to_pylist()) == {2}
    assert both["f1"].equals(evaluate(world.layout).table["f1"])


def test_constant_scores_leave_thresholds_undefined_and_say_why(world):
    for day in DAYS:
        world.write_scores(day, np.ones(12))
    store_background(world.layout)
    store_thresholds(world.layout, DetectionSettings())
    rows = read_table(world.layout.thresholds, THRESHOLDS).to_pylist()
    assert {row["threshold"] for row in rows} == {None}
    assert any("tells nothing apart" in row["reason"] for row in rows)
