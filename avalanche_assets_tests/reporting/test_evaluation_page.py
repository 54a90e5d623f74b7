"""The page says whose numbers it holds, shows every table and links its pictures."""

import re

import numpy as np
import pytest
from learning_world import DAYS, LearningWorld
from matplotlib.image import imread

from avalanche_assets.detectors.against_truth import AgainstTruth, Value, VisibleDeposits
from avalanche_assets.detectors.evaluation import evaluate, store_background, store_thresholds
from avalanche_assets.reporting.curves import curve_pictures
from avalanche_assets.reporting.evaluation_page import write_evaluation_page
from avalanche_assets.reporting.evaluation_text import gains_text
from avalanche_assets.reporting.galleries import chosen_rows
from avalanche_assets.settings import DetectionSettings

KNOWN = Value(0.5, 0.25, 0.75)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = LearningWorld(tmp_path_factory.mktemp("world"))
    store_background(world.layout)
    store_thresholds(world.layout, DetectionSettings())
    return world


@pytest.fixture(scope="module")
def found(world):
    return evaluate(world.layout)


def written(tmp_path, settings, found, **more):
    pictures = curve_pictures(settings, found)
    write_evaluation_page(tmp_path / "evaluation.md", settings, found, pictures, **more)
    return (tmp_path / "evaluation.md").read_text(encoding="utf-8")


def test_page_says_plainly_that_the_numbers_are_simulated(world, found, tmp_path):
    assert "come from simulated data" in written(tmp_path, world.settings, found)
    real = world.settings.model_copy(update={"simulated": False})
    assert "simulated" not in written(tmp_path, real, found)


def test_page_has_our_rows_with_intervals_beside_the_papers(world, found, tmp_path):
    text = written(tmp_path, world.settings, found)
    row = next(
        row
        for row in found.table.to_pylist()
        if (row["label_window"], row["area"], row["operating_point"]) == ("new", "All massifs", "budget")
    )
    cell = f"{row['f1']:.2f} [{row['f1_low']:.2f}, {row['f1_high']:.2f}]"
    assert f"| vae_local | new | All massifs | budget | {row['balanced_accuracy']:.2f} [" in text
    assert cell in text
    assert "| paper: VAE | new | All Alps | — | 0.63 | 0.11 |" in text
    for measure in ("recall", "specificity", "precision", "F2", "ROC AUC", "false alarms per hit"):
        assert f"| {measure} |" in text
    assert all(str(day) in text for day in DAYS[-2:])


def test_every_table_has_as_many_cells_in_each_row(world, found, tmp_path):
    for table in re.findall(r"(?:^\|.*\n)+", written(tmp_path, world.settings, found), re.MULTILINE):
        assert len({line.count(" | ") for line in table.splitlines()}) == 1


def test_linked_pictures_are_there_and_are_pictures(world, found, tmp_path):
    text = written(tmp_path, world.settings, found)
    links = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert links == ["pictures/evaluation_curves.png", "pictures/evaluation_thresholds.png"]
    for link in links:
        assert np.ptp(imread(tmp_path / link)[..., :3]) > 0.5


def test_truth_fills_a_section_of_its_own(world, found, tmp_path):
    visible = VisibleDeposits(
        KNOWN, KNOWN, None, {0.05: KNOWN, 0.01: KNOWN}, {0.05: KNOWN, 0.01: KNOWN}, {0.05: KNOWN, 0.01: KNOWN}
    )
    strata = {"size": {"D3": (7, {"vae_local": Value(None, None, None)})}}
    ceiling = {"balanced_accuracy": 0.81, "f1": 0.7, "average_precision": None}
    truth = AgainstTruth(120, 9, {"vae_local": visible}, ceiling, strata, "budget")
    text = written(tmp_path, world.settings, found, truth=truth)
    assert "9 of 120 test pairs hold a new deposit that the radar can see" in text
    assert "balanced accuracy 0.81, F1 0.70." in text
    assert "| vae_local | 0.50 [0.25, 0.75] | 0.50 [0.25, 0.75] | — |" in text
    assert "| D3 | 7 | — |" in text
    assert "true deposits" not in written(tmp_path, world.settings, found)


def test_without_the_rival_the_text_says_so(found):
    assert gains_text(found.table) == [
        "local_contrast is not among the detectors, or the test pairs hold no positive: no comparison."
    ]


def test_galleries_show_the_strongest_the_missed_and_the_mistaken(world, found):
    settings = world.settings.model_copy(
        update={"detection": DetectionSettings(detector="vae_local", operating_point="balanced")}
    )
    rows = chosen_rows(settings, found)
    scores, states = found.test.scores["vae_local"], found.test.states["new"]
    cut = found.threshold("vae_local", "new", "balanced")
    assert rows["most anomalous"][0] == np.argmax(scores)
    assert (np.diff(scores[rows["most anomalous"]]) <= 0).all()
    assert (states[rows["missed"]] == "positive").all()
    assert (scores[rows["missed"]] < cut).all()
    assert (states[rows["false alarms"]] == "negative").all()
    assert (scores[rows["false alarms"]] >= cut).all()
