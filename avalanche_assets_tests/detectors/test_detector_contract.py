"""What every detector promises, for each of them."""

import dataclasses
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from avalanche_assets.detectors.base import DETECTOR_NAMES, RECIPES, create_detector, load_detector
from avalanche_assets.detectors.learning import train_detector
from avalanche_assets.detectors.split import split_samples
from avalanche_assets.errors import DetectorError


@pytest.fixture(scope="module")
def split(simulated_season, small_settings, corridors_of):
    days = sorted(set(simulated_season.dates))
    corridors, none = corridors_of(simulated_season)
    return split_samples(days, corridors, none, small_settings, small_settings.gap_dates, 1280.0)


@pytest.fixture(scope="module")
def folders(simulated_season, small_settings, split, tmp_path_factory):
    """A folder per model, each trained briefly."""
    root = tmp_path_factory.mktemp("models")
    for name in RECIPES:
        train_detector(name, simulated_season, split, small_settings, root / name)
    return {name: root / create_detector(name).model for name in DETECTOR_NAMES}


def test_training_leaves_description_and_weights_only(folders):
    for folder in folders.values():
        kinds = {path.name.split(".")[0] for path in folder.iterdir()}
        assert kinds <= {"model", "weights"}
        assert "model" in kinds


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_stored_detector_scores_by_name_and_keeps_its_version(name, folders, simulated_season, tmp_path):
    detector = load_detector(name, folders[name])
    assert detector.name == name
    detector.save(tmp_path)
    again = load_detector(name, tmp_path)
    assert again.version == detector.version
    assert len(detector.version) == 12
    samples = simulated_season.samples.subset(np.arange(9))
    scores = detector.score(samples)
    assert np.isfinite(scores).all()
    assert len(set(scores)) > 1
    np.testing.assert_array_equal(again.score(samples), scores)


def test_no_two_scores_share_a_version(folders):
    assert len({load_detector(name, folder).version for name, folder in folders.items()}) == len(folders)


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_score_does_not_depend_on_the_other_samples(name, folders, simulated_season):
    detector, samples = load_detector(name, folders[name]), simulated_season.samples
    together = detector.score(samples.subset(np.arange(150)))[[3, 149]]
    alone = [detector.score(samples.subset(np.array([row])))[0] for row in (3, 149)]
    # Another batch size may take another kernel: float32 rounding; a log-odds near 0 has no relative error.
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_patch_without_a_pair_of_values_has_no_score(name, folders, simulated_season):
    samples = simulated_season.samples.subset(np.arange(2))
    halves = {key: patches.copy() for key, patches in samples.backscatter.items()}
    for patches in halves.values():
        patches[samples.current[0], :32] = np.nan
        patches[samples.previous[0], 32:] = np.nan
    look = load_detector(name, folders[name]).look_at(replace(samples, backscatter=halves))
    for scores in look.scores.values():
        assert np.isnan(scores[0])
        assert np.isfinite(scores[1])
    assert np.isnan(look.anomaly[0]).all()
    assert np.isfinite(look.anomaly[1]).any()


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_no_samples_give_no_scores(name, folders, simulated_season):
    look = load_detector(name, folders[name]).look_at(simulated_season.samples.subset(np.zeros(0, np.int64)))
    assert {len(scores) for scores in look.scores.values()} == {0}
    assert look.anomaly.shape == (0, 64, 64)


@pytest.mark.parametrize(
    "name",
    [
        "change_threshold",
        "random_forest",
        "gradient_boosting",
        "local_contrast",
        "vae_local",
        "conditional_vae",
    ],
)
def test_detectors_that_look_locally_find_plain_tongues(name, folders, simulated_season):
    scores = load_detector(name, folders[name]).score(simulated_season.samples)
    # Tongues of 48 pixels at +5 dB over smoothed speckle are plain to see, even after two epochs.
    assert roc_auc_score(simulated_season.new == "positive", scores) > 0.75


def test_weights_that_are_a_program_are_refused_and_do_not_run(folders, tmp_path):
    class Attack:
        def __reduce__(self):
            return (pytest.fail, ("the stored file was executed",))

    detector = load_detector("gradient_boosting", folders["gradient_boosting"])
    detector.save(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(DetectorError, match="sha256"):
        load_detector("gradient_boosting", tmp_path)


def test_supervised_detectors_say_that_they_need_positives(simulated_season, small_settings, split, tmp_path):
    nothing_found = dataclasses.replace(simulated_season, new=np.full(len(simulated_season), "negative"))
    for name in ("random_forest", "gradient_boosting", "cnn"):
        with pytest.raises(DetectorError, match=r"no positive sample.*learning\.detectors"):
            train_detector(name, nothing_found, split, small_settings, tmp_path / name)


def test_vae_star_trains_on_patches_without_a_recent_deposit(
    simulated_season, small_settings, split, tmp_path
):
    recent = np.where(np.arange(len(simulated_season)) % 2, "positive", "negative").astype(object)
    settings = small_settings.model_copy(update={"epochs": 1})
    samples = dataclasses.replace(simulated_season, recent=recent)
    star = train_detector("vae_star", samples, split, settings, tmp_path / "star")
    plain = train_detector("vae", samples, split, settings, tmp_path / "plain")
    assert star.samples < 0.7 * plain.samples
