"""Registered versions never change, say what they are, and are refused where they do not fit."""

import json
import pickle

import pytest
from detection_world import example_settings
from model_cards import example_card, example_threshold

from avalanche_assets.detectors.card import DataContract, read_card
from avalanche_assets.detectors.registry import (
    latest,
    promote,
    promoted,
    register,
    registered,
    require_promoted,
)
from avalanche_assets.errors import DetectorError
from avalanche_assets.settings import BackscatterSettings, GridSettings


@pytest.fixture
def settings(root, tmp_path):
    settings = example_settings(tmp_path).model_copy(update={"data_root": root})
    folder = settings.layout.model("vae")
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    return settings


def test_versions_stay_and_one_is_promoted(settings):
    layout = settings.layout
    assert promoted(layout) is None
    first = register(layout, example_card(settings))
    promote(layout, first.version)
    (layout.model("vae") / "model.json").write_text('{"new": 1}')
    second = register(layout, example_card(settings, model_version="ba9876543210"))
    assert second.version != first.version
    assert latest(layout).version == second.version
    assert require_promoted(layout).version == first.version
    assert (require_promoted(layout).folder / "model.json").read_text() == "{}"
    promote(layout, second.version)
    assert require_promoted(layout).card == second.card
    promote(layout, first.version)  # the way back
    assert require_promoted(layout).version == first.version


def test_registering_the_same_again_changes_nothing(settings):
    first = register(settings.layout, example_card(settings))
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert register(settings.layout, example_card(settings)).version == first.version
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


def test_card_comes_back_as_it_was_with_everything_a_reader_wants(settings):
    card = example_card(settings)
    model = register(settings.layout, card)
    assert read_card(model.folder) == card
    stored = json.loads((model.folder / "card.json").read_text())
    assert {
        "code_version", "data_versions", "split_by", "seed", "normalisation", "thresholds", "metrics",
        "intended_use", "limits", "data",
    } <= set(stored)  # fmt: skip


def test_altered_card_is_refused(settings):
    model = register(settings.layout, example_card(settings))
    path = model.folder / "card.json"
    stored = json.loads(path.read_text())
    stored["thresholds"][0]["threshold"] = 0.1
    path.write_text(json.dumps(stored))
    with pytest.raises(DetectorError, match=r"card\.json: is the card of .*, the file was altered"):
        registered(settings.layout, model.version)


def test_card_that_is_not_json_is_refused_and_never_executed(settings, tmp_path):
    class Payload:
        def __reduce__(self):
            return (tmp_path.joinpath("executed").touch, ())

    model = register(settings.layout, example_card(settings))
    (model.folder / "card.json").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DetectorError, match="not a model card"):
        registered(settings.layout, model.version)
    assert not (tmp_path / "executed").exists()


def test_unknown_version_names_those_that_are_there(settings):
    model = register(settings.layout, example_card(settings))
    with pytest.raises(DetectorError, match=rf"no version 'vae-x'; registered are \['{model.version}'\]"):
        promote(settings.layout, "vae-x")


def test_channels_that_patches_do_not_have_are_refused(settings):
    card = example_card(settings, data=DataContract.of(settings, ("vv_star", "coherence")))
    with pytest.raises(DetectorError, match=r"needs the channels \['coherence'\], patches .* have vv_star"):
        card.require_fit(settings)
    example_card(settings).require_fit(settings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grid": GridSettings(resolution_m=10)}, r"pixel_m = 20, the data here have 10"),
        (
            {"backscatter": BackscatterSettings(scene_correction="elevation_bands")},
            r"scene_correction = 'none', the data here have 'elevation_bands'",
        ),
    ],
)
def test_data_of_another_kind_are_refused_with_the_reason(settings, changes, said):
    with pytest.raises(DetectorError, match=said):
        example_card(settings).require_fit(settings.model_copy(update=changes))


def test_operating_points_are_frozen_and_an_undefined_one_says_why(settings):
    card = example_card(settings, thresholds=(example_threshold(3.0), example_threshold(None, "mapping")))
    assert card.threshold("new", "budget") == 3.0
    with pytest.raises(DetectorError, match=r"'mapping' for 'new' labels is undefined .no positives at all"):
        card.threshold("new", "mapping")
    with pytest.raises(DetectorError, match="no operating point 'balanced' for 'recent' labels"):
        card.threshold("recent", "balanced")
