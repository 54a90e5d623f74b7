"""Corridors that scores call seen and that nobody could judge, and which way terrain hid the others."""

import numpy as np
import pytest
from detection_world import RULE, SECOND, build_world, score_table

from avalanche_assets.detection.unseen import hide_wet_snow, name_obstructions, obstruction
from avalanche_assets.patches.observability import HIDDEN
from avalanche_assets.sentinel1.visibility import Visibility


@pytest.fixture(scope="module")
def world():
    return build_world()


def by_corridor(table):
    return {row["corridor_id"]: row for row in table.to_pylist()}


def test_quiet_corridor_in_wet_snow_is_not_observable_and_a_detection_stays(world):
    scores = score_table(world, SECOND, {0: 6.0}, {})
    wet = {"73040001": 0.95, "73040002": 0.95, "73040003": 0.8}
    found = by_corridor(hide_wet_snow(scores, wet, RULE.threshold, 0.8))
    assert found["73040001"]["observable"]
    assert found["73040001"]["score"] == 6.0
    assert (found["73040002"]["observable"], found["73040002"]["score"]) == (False, None)
    assert found["73040002"]["reason"] == "wet snow"
    assert found["73040003"]["observable"]


def test_unknown_wetness_hides_nothing(world):
    scores = score_table(world, SECOND, {}, {})
    assert hide_wet_snow(scores, {"73040001": float("nan")}, RULE.threshold, 0.0).equals(scores)


@pytest.mark.parametrize(
    ("layover", "shadow", "said"),
    [(100, 0, "layover"), (0, 100, "shadow"), (100, 24, "layover"), (100, 25, HIDDEN), (30, 100, HIDDEN)],
)
def test_obstruction_names_what_hides_most(layover, shadow, said):
    flags = np.zeros(4096, np.float32)
    flags[:layover] = Visibility.LAYOVER
    flags[2000 : 2000 + shadow] = Visibility.SHADOW
    assert obstruction(flags.reshape(64, 64)) == said


def test_only_hidden_corridors_are_looked_up_even_at_the_edge_of_the_grid(world):
    scores = score_table(world, SECOND, {}, {1: HIDDEN, 2: "outside swath"})
    corridors = world.corridors.copy()
    corridors.loc[1, ["deposit_x", "deposit_y"]] = world.grid.pixel_centre(3, world.grid.width - 2)
    asked = []

    def shadow(window):
        asked.append(window)
        return np.full((window.height, window.width), Visibility.SHADOW, np.float32)

    found = by_corridor(name_obstructions(scores, corridors, world.grid, shadow))
    assert len(asked) == 1
    assert world.grid.contains(asked[0])
    assert (asked[0].height, asked[0].width) == (35, 34)
    assert found["73040002"]["reason"] == "shadow"
    assert found["73040003"]["reason"] == "outside swath"
