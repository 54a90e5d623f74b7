"""The correction is judged on the same pairs, and dates without levels are left out and named."""

import pytest
from learning_world import CATALOGUE, DAYS, ROLES, LearningWorld

from avalanche_assets.detectors.correction_comparison import compare_scene_correction
from avalanche_assets.tables import EVALUATION

WITHOUT, WITH = "change_threshold, uncorrected", "change_threshold, by elevation bands"


@pytest.fixture
def world(tmp_path):
    return LearningWorld(tmp_path)


def compared(world):
    return compare_scene_correction(world.layout, CATALOGUE, world.settings.detection)


def areas_of(comparison):
    rows = comparison.table.to_pylist()
    chosen = [row for row in rows if (row["area"], row["label_window"]) == ("All massifs", "new")]
    return {row["detector"]: row["roc_auc"] for row in chosen}


def test_correction_helps_where_whole_dates_move(world):
    found = compared(world)
    assert found.left_out == []
    areas = areas_of(found)
    # The test dates moved by -4.5 and +3.5 dB against their previous ones, which mixes the scores of a
    # deposit of 6 dB on the one with those of nothing on the other; speckle of 1 dB does not.
    assert areas[WITH] == pytest.approx(1.0)
    assert areas[WITHOUT] < 0.9
    assert {row["positives"] for row in found.table.to_pylist() if row["area"] == "All massifs"} == {
        sum(int(world.positive[day].sum()) for day, role in ROLES.items() if role == "test")
    }


def test_date_without_scene_levels_is_left_out_and_named(world):
    gone = DAYS[-1]
    assert ROLES[gone] == "test"
    world.layout.scene_levels(gone).unlink()
    found = compared(world)
    assert found.left_out == [gone]
    (positives,) = {row["positives"] for row in found.table.to_pylist() if row["area"] == "All massifs"}
    assert positives == world.positive[DAYS[-2]].sum()


def test_date_whose_previous_one_has_no_levels_is_left_out_too(world):
    world.layout.scene_levels(DAYS[-2]).unlink()
    found = compared(world)
    assert found.left_out == [DAYS[-2], DAYS[-1]]
    assert found.table.schema == EVALUATION
    assert found.table.num_rows == 0


def test_dates_without_patches_are_left_out(world):
    world.layout.corridor_patches(DAYS[-1]).unlink()
    assert compared(world).left_out == [DAYS[-1]]
