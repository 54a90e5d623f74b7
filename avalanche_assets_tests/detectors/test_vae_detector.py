"""Training, scoring and storing of the VAE on small constructed patches."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from avalanche_assets.detectors import learning
from avalanche_assets.detectors.base import create_detector, load_detector, model_name, names_of
from avalanche_assets.detectors.change_threshold import ChangeThreshold
from avalanche_assets.detectors.description import describe
from avalanche_assets.detectors.learning import role_mask, train_detector
from avalanche_assets.detectors.metrics import measure
from avalanche_assets.detectors.split import split_samples
from avalanche_assets.detectors.thresholds import choose_threshold
from avalanche_assets.detectors.vae import Vae
from avalanche_assets.errors import DetectorError


@pytest.fixture(scope="module")
def split(simulated_season, small_settings, corridors_of):
    corridors, none = corridors_of(simulated_season)
    days = sorted(set(simulated_season.samples.dates))
    return split_samples(days, corridors, none, small_settings, small_settings.gap_dates, 1280.0)


@pytest.fixture(scope="module")
def trained(simulated_season, small_settings, split, tmp_path_factory):
    """A network trained long enough to learn; (summary, model folder, progress lines)."""
    settings = small_settings.model_copy(update={"base_channels": 12, "epochs": 8})
    folder = tmp_path_factory.mktemp("vae")
    lines = []
    summary = train_detector("vae", simulated_season, split, settings, folder, lines.append)
    return summary, folder, lines


@pytest.fixture(scope="module")
def quick(simulated_season, small_settings):
    """A barely trained network, for everything that does not depend on what it learnt."""
    vae = Vae()
    vae.fit(simulated_season.subset(np.arange(40)), nothing_of(simulated_season), small_settings)
    return vae


def nothing_of(season):
    return season.subset(np.zeros(0, np.int64))


def scores_of(vae, samples, variant):
    return vae.look_at(samples).scores[variant]


def test_local_score_finds_tongues_and_the_code_stays_informative(trained, simulated_season, split):
    summary, folder, lines = trained
    held_out = role_mask(simulated_season, split, "test")
    samples = simulated_season.samples.subset(held_out)
    positive = simulated_season.new[held_out] == "positive"
    auc = roc_auc_score(positive, load_detector("vae_local", folder).score(samples))
    # Tongues of 48 pixels at +5 dB over smoothed speckle are plain to see; 0.8 leaves room for seeds.
    assert auc > 0.8
    assert summary.history[-1].parts["kl"] > 1
    assert summary.history[-1].active_units > 1
    assert summary.history[-1].parts["reconstruction"] < summary.history[0].parts["reconstruction"]
    assert len(lines) == len(summary.history) == 8


def test_training_uses_only_negatives_of_the_training_dates(trained, simulated_season, split):
    summary, folder, _ = trained
    chosen = role_mask(simulated_season, split, "train") & (simulated_season.new == "negative")
    stored = json.loads((folder / "model.json").read_text())["trained_on"]
    assert summary.samples == stored["samples"] == chosen.sum()
    roles = {str(row["acquisition_date"]): row["role"] for row in split.to_pylist()}
    assert {roles[day] for day in stored["dates"]} == {"train"}


def test_validation_sees_all_observable_samples_of_the_validation_dates(
    simulated_season, small_settings, split, tmp_path, monkeypatch
):
    seen = []

    class Recorder(ChangeThreshold):
        def fit(self, train, validation, settings, progress, checkpoint):
            seen.append(validation)
            return super().fit(train, validation, settings, progress)

    monkeypatch.setattr(learning, "create_detector", lambda name: Recorder())
    train_detector("vae", simulated_season, split, small_settings, tmp_path)
    days = {row["acquisition_date"] for row in split.to_pylist() if row["role"] == "validation"}
    of_the_day = np.array([day in days for day in simulated_season.samples.dates])
    assert set(seen[0].dates) == days
    assert len(seen[0]) == of_the_day.sum()


def test_no_role_takes_a_sample_that_could_not_be_observed(simulated_season, split):
    observable = np.arange(len(simulated_season.samples)) % 3 > 0
    hidden = replace(simulated_season, observable=observable)
    for role in ("train", "validation", "test"):
        expected = role_mask(simulated_season, split, role) & observable
        np.testing.assert_array_equal(role_mask(hidden, split, role), expected)


def test_best_epoch_has_the_lowest_validation_loss(trained):
    summary, _, _ = trained
    losses = [record.validation_loss for record in summary.history]
    assert summary.best_epoch == 1 + int(np.argmin(losses))


def test_local_score_beats_the_whole_patch_error_at_a_threshold_from_validation(
    trained, simulated_season, split
):
    reached = {}
    for name in ("vae", "vae_local"):
        scores = load_detector(name, trained[1]).score(simulated_season.samples)
        positive = simulated_season.new == "positive"
        validation, test = (role_mask(simulated_season, split, role) for role in ("validation", "test"))
        threshold, _ = choose_threshold(scores[validation], positive[validation], "balanced", 0.05)
        reached[name] = measure(scores[test], positive[test], threshold).balanced_accuracy
    assert reached["vae_local"] > max(0.7, reached["vae"])


def test_same_seed_and_threads_give_the_same_bits(quick, simulated_season, small_settings):
    again = Vae()
    again.fit(simulated_season.subset(np.arange(40)), nothing_of(simulated_season), small_settings)
    assert again.version == quick.version
    other = Vae()
    reseeded = small_settings.model_copy(update={"seed": 8})
    other.fit(simulated_season.subset(np.arange(40)), nothing_of(simulated_season), reseeded)
    assert other.description["weights_sha256"] != quick.description["weights_sha256"]


def test_score_is_the_mean_squared_error_over_all_four_channels(quick, simulated_season):
    samples = simulated_season.samples.subset(np.arange(5))
    inputs, rebuilt = quick.reconstruct(samples)
    reach = np.array([15, 15, 90, 180])[None, :, None, None]
    expected = (((inputs - rebuilt) / reach) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(quick.score(samples), expected, rtol=1e-5)  # float32 pictures


def test_score_of_a_sample_does_not_depend_on_the_others(quick, simulated_season):
    samples = simulated_season.samples
    together = quick.look_at(samples.subset(np.arange(150)))
    alone = quick.look_at(samples.subset(np.array([149])))
    for variant in quick.variants:
        # Another batch size may take another convolution kernel: float32 rounding.
        np.testing.assert_allclose(alone.scores[variant], together.scores[variant][-1:], rtol=1e-4)


def test_local_score_rises_with_brightening_and_falls_with_darkening(quick, samples_of):
    patches = np.zeros((4, 64, 64))
    patches[2, 28:36, 28:36] = 6
    patches[3, 28:36, 28:36] = -6
    plain, bright, dark = scores_of(quick, samples_of(patches, previous=[0, 0, 0]), "local")
    assert bright > plain + 2
    assert dark < plain + 1
    brightest = quick.anomaly_map(samples_of(patches, previous=[0, 0, 0]))[1]
    row, col = np.unravel_index(np.argmax(brightest), (64, 64))
    assert 28 <= row < 36
    assert 28 <= col < 36


def test_a_jump_of_the_whole_scene_moves_the_local_score_less_than_a_deposit(quick, samples_of):
    calm = np.random.default_rng(3).normal(0, 1, (2, 64, 64))
    jump, deposit = calm.copy(), calm.copy()
    jump[1] += 3.2
    deposit[1, 26:32, 30:34] += 5
    scores = [scores_of(quick, samples_of(patches), "local")[-1] for patches in (calm, jump, deposit)]
    # The network rebuilds the two patches a little differently; without the median the jump adds 3 dB.
    assert abs(scores[1] - scores[0]) < 0.5
    assert scores[2] - scores[0] > 1.5


def test_patch_without_any_pair_of_values_has_no_score(quick, samples_of):
    patches = np.zeros((2, 64, 64))
    patches[0, :32], patches[1, 32:] = np.nan, np.nan
    samples = samples_of(patches, previous=[0])
    for detector in (quick, ChangeThreshold()):
        assert np.isnan(detector.score(samples)).all()
        assert np.isnan(detector.anomaly_map(samples)).all()


def test_all_scores_of_a_network_come_from_one_run_of_it(quick, simulated_season, tmp_path):
    quick.save(tmp_path)
    samples = simulated_season.samples.subset(np.arange(7))
    runs = []
    hook = quick.network.register_forward_hook(lambda *_: runs.append(1))
    together = quick.look_at(samples)
    hook.remove()
    assert len(runs) == 1
    versions = set()
    for name in names_of("vae"):
        loaded = load_detector(name, tmp_path)
        np.testing.assert_array_equal(loaded.score(samples), together.scores[loaded.variant])
        versions.add(loaded.version)
    assert len(versions) == len(names_of("vae")) == 4


def test_elbo_is_the_training_loss_without_a_random_draw(quick, simulated_season, small_settings):
    found = quick.look_at(simulated_season.samples.subset(np.arange(5))).scores
    expected = 0.5 * 4 * 64 * 64 * found[""] + small_settings.kl_weight * found["kl"]
    np.testing.assert_allclose(found["elbo"], expected, rtol=1e-9)


def test_saving_twice_gives_the_same_bytes_and_replaces_older_weights(quick, tmp_path):
    (tmp_path / "weights.0123456789ab.safetensors").write_bytes(b"older")
    quick.save(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    quick.save(tmp_path)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(first) == 2


def test_altered_weights_are_refused(quick, tmp_path):
    quick.save(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DetectorError, match=r"weights\..*sha256"):
        Vae.load(tmp_path, "vae")


def test_missing_weights_and_missing_model_are_refused(quick, tmp_path):
    quick.save(tmp_path)
    next(tmp_path.glob("*.safetensors")).unlink()
    with pytest.raises(DetectorError, match="weights are missing"):
        Vae.load(tmp_path, "vae")
    with pytest.raises(DetectorError, match="no trained detector here"):
        Vae.load(tmp_path / "elsewhere", "vae")


def test_edited_description_is_refused(quick, tmp_path):
    quick.save(tmp_path)
    path = tmp_path / "model.json"
    path.write_text(path.read_text().replace('"best_epoch": 2', '"best_epoch": 1'))
    with pytest.raises(DetectorError, match="was altered"):
        Vae.load(tmp_path, "vae")
    path.write_text("{")
    with pytest.raises(DetectorError, match="not readable as JSON"):
        Vae.load(tmp_path, "vae")


def test_model_of_other_channels_units_or_format_is_refused(quick, tmp_path):
    quick.save(tmp_path)
    content = {key: value for key, value in quick.description.items() if key != "sha256"}
    changes = [
        ({"channels": ["vv_star_old", "vv_star", "slope", "aspect"]}, "channels"),
        ({"scaling": {**content["scaling"], "slope": [0.0, 1.0]}}, "scaling"),
        ({"patch_size": 32}, "patch_size"),
        ({"schema_version": 99}, "schema_version"),
    ]
    for change, field in changes:
        (tmp_path / "model.json").write_text(json.dumps(describe("vae", {**content, **change})))
        with pytest.raises(DetectorError, match=field):
            Vae.load(tmp_path, "vae")


def test_model_of_another_detector_is_refused(tmp_path):
    ChangeThreshold().save(tmp_path)
    with pytest.raises(DetectorError, match="detector is 'change_threshold', expected 'vae'"):
        Vae.load(tmp_path, "vae")


def test_weights_of_another_architecture_are_refused(quick, tmp_path):
    quick.save(tmp_path)
    content = {key: value for key, value in quick.description.items() if key != "sha256"}
    content["settings"] = {**content["settings"], "base_channels": 16}
    (tmp_path / "model.json").write_text(json.dumps(describe("vae", content)))
    with pytest.raises(DetectorError, match="not the weights of this network"):
        Vae.load(tmp_path, "vae")


def test_collapsed_code_is_an_error_that_names_the_setting(simulated_season, small_settings):
    heavy = small_settings.model_copy(
        update={"kl_weight": 1e4, "epochs": 15, "learning_rate": 3e-3, "batch_size": 4}
    )
    with pytest.raises(DetectorError, match=r"lower learning\.kl_weight"):
        Vae().fit(simulated_season.subset(np.arange(64)), nothing_of(simulated_season), heavy)


def test_too_few_samples_are_an_error(simulated_season, small_settings):
    with pytest.raises(DetectorError, match="1 training samples"):
        Vae().fit(simulated_season.subset(np.arange(1)), nothing_of(simulated_season), small_settings)


@pytest.mark.parametrize("excluded", ["positive", "unobserved"])
def test_training_without_any_negative_is_an_error(
    excluded, simulated_season, small_settings, split, tmp_path
):
    states = np.full(len(simulated_season.samples), excluded)
    with pytest.raises(DetectorError, match=r"no observable sample of the training dates"):
        train_detector("vae", replace(simulated_season, new=states), split, small_settings, tmp_path)
    assert not list(tmp_path.iterdir())


def test_training_on_all_uses_positives_too(simulated_season, small_settings, split, tmp_path):
    once = small_settings.model_copy(update={"epochs": 1})
    summary = train_detector("vae_all", simulated_season, split, once, tmp_path)
    assert summary.samples == role_mask(simulated_season, split, "train").sum()


def test_local_incidence_can_take_the_place_of_the_aspect(quick, simulated_season, small_settings, tmp_path):
    few = simulated_season.subset(np.arange(40))
    settings = small_settings.model_copy(update={"angle": "local_incidence", "epochs": 1})
    vae = Vae()
    vae.fit(few, nothing_of(few), settings)
    vae.save(tmp_path)
    loaded = Vae.load(tmp_path, "vae")
    assert loaded.channels == ("vv_star", "vv_star_old", "slope", "local_incidence")
    assert loaded.reconstruct(few.samples)[0][:, 3] == pytest.approx(45)
    without = {"slope": few.samples.terrain["slope"]}
    with pytest.raises(DetectorError, match="no channel 'local_incidence'"):
        vae.score(replace(few.samples, terrain=without))


def test_no_samples_give_no_scores(quick, simulated_season):
    nothing = simulated_season.samples.subset(np.zeros(0, np.int64))
    for detector in (quick, ChangeThreshold()):
        assert detector.score(nothing).shape == (0,)
        assert detector.anomaly_map(nothing).shape == (0, 64, 64)


def test_untrained_and_unknown_detectors_say_so(simulated_season):
    with pytest.raises(DetectorError, match="not trained"):
        create_detector("vae").score(simulated_season.samples.subset(np.arange(2)))
    with pytest.raises(DetectorError, match="'forest' is unknown"):
        create_detector("forest")
    assert model_name("vae_local") == "vae"


def test_torch_is_not_imported_for_the_baseline():
    code = (
        "import sys; from avalanche_assets.detectors import learning, split, base; "
        "base.create_detector('change_threshold'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
