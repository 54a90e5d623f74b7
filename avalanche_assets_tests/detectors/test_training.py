"""Training in epochs: streamed or from memory, stopped early, resumed, and told about."""

import pickle
import re
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
import torch

from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue
from avalanche_assets.detectors import training
from avalanche_assets.detectors.checkpoint import read_checkpoint
from avalanche_assets.detectors.conditional_vae import ConditionalVae
from avalanche_assets.detectors.vae import Autoencoder, Vae
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.patch_set import PatchSet
from avalanche_assets.tables import CORRIDOR_PATCHES, TERRAIN_PATCHES, write_table


class InterruptedTrainingError(Exception):
    """Stands for the end of the process."""


def killer(epoch):
    """Progress that ends the training when the line of an epoch after `epoch` is told."""

    def progress(line):
        if f"epoch {epoch + 1}/" in line:
            raise InterruptedTrainingError

    return progress


@pytest.fixture
def few(simulated_season):
    return simulated_season.subset(np.arange(60)), simulated_season.subset(np.arange(300, 340))


@pytest.mark.parametrize("kind", [Vae, ConditionalVae])
def test_resumed_training_gives_the_bits_of_an_uninterrupted_one(kind, few, small_settings, tmp_path):
    settings = small_settings.model_copy(update={"epochs": 4})
    whole = kind()
    whole.fit(*few, settings)
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptedTrainingError):
        kind().fit(*few, settings, killer(2), checkpoint)
    assert checkpoint.exists()
    lines = []
    resumed = kind()
    torch.rand(7)  # the state of the process must not matter
    resumed.fit(*few, settings, lines.append, checkpoint)
    assert any("resumed after epoch 2" in line for line in lines)
    assert resumed.version == whole.version
    assert not checkpoint.exists()


def test_checkpoint_of_another_training_is_not_resumed(few, small_settings, tmp_path):
    settings = small_settings.model_copy(update={"epochs": 3})
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptedTrainingError):
        Vae().fit(*few, settings, killer(2), checkpoint)
    lines = []
    Vae().fit(*few, settings.model_copy(update={"seed": 8}), lines.append, checkpoint)
    assert not any("resumed" in line for line in lines)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"fingerprint": "f"})])
def test_damaged_checkpoint_starts_anew(content, tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    assert read_checkpoint(path, "f") is None


def test_checkpoint_that_is_a_program_does_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (pytest.fail, ("the checkpoint was executed",))

    path = tmp_path / "checkpoint.pt"
    torch.save({"fingerprint": "f", "network": Attack()}, path)
    assert read_checkpoint(path, "f") is None


def test_training_stops_when_validation_gets_no_better(negatives_of, small_settings):
    rng = np.random.default_rng(4)
    bright, dark = (negatives_of(rng.normal(level, 2, (25, 64, 64))) for level in (8, -8))
    settings = small_settings.model_copy(update={"epochs": 30, "batch_size": 8, "patience": 2})
    summary = Vae().fit(bright, dark, settings)
    # The better it rebuilds bright patches, the worse dark ones.
    assert len(summary.history) == summary.best_epoch + 2 < 30


def test_progress_tells_losses_units_validation_speed_and_time_left(few, small_settings):
    lines = []
    Vae().fit(*few, small_settings, lines.append)
    assert len(lines) == small_settings.epochs
    for word in ("loss", "reconstruction", "kl", "active units", "validation", "images/s", "min left"):
        assert word in lines[-1]
    assert "average precision" in lines[-1]


def test_progress_counts_the_patches_of_the_running_epoch(few, small_settings, monkeypatch):
    """Of 60 patches the last 10, too few for a batch of 25, are left out of each epoch."""
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    settings, lines = small_settings.model_copy(update={"epochs": 3, "batch_size": 25}), []
    Vae().fit(*few, settings, lines.append)
    counted = [re.findall(r"epoch (\d)/3: (\S+) of 60 patches", line) for line in lines]
    told = [pair for pairs in counted for pair in pairs]
    assert {epoch for epoch, _ in told} == {"1", "2", "3"}
    assert {done for _, done in told} == {"25", "50"}


def test_streamed_training_is_that_from_memory_up_to_the_order(simulated_season, small_settings, tmp_path):
    """One batch of everything and no random code: then the order of the samples does not matter."""
    streamed = stored(simulated_season, tmp_path)
    assert len(streamed) == len(simulated_season)
    settings = small_settings.model_copy(update={"batch_size": len(streamed), "epochs": 1})
    nothing = simulated_season.subset(np.zeros(0, np.int64))
    losses = [
        Autoencoder().fit(source, nothing, settings).history[0].parts["reconstruction"]
        for source in (streamed, simulated_season)
    ]
    # The same patches in another order: float32 sums.
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def stored(season, folder):
    """The season's samples as stored tables, opened as a stream."""
    layout, samples = DataLayout(folder), season.samples
    ids = sorted(set(samples.corridor_ids))
    days = [date(2017, 12, 28), *sorted(set(samples.dates))]
    for number, day in enumerate(days):
        rows = slice(number * len(ids), (number + 1) * len(ids))
        ones = pa.array(np.ones(len(ids), np.float32))
        columns = {
            "corridor_id": ids,
            "acquisition_date": pa.array([day] * len(ids), pa.date32()),
            **{name: tensor(patches[rows]) for name, patches in samples.backscatter.items()},
            **dict.fromkeys(("valid_fraction", "visible_fraction", "wet_snow_fraction"), ones),
        }
        write_table(layout.corridor_patches(day), pa.table(columns, CORRIDOR_PATCHES), CORRIDOR_PATCHES)
    shape = (len(ids), 64, 64)
    flat = {"elevation": np.zeros(shape, np.float32), "inside": np.ones(shape, np.float16)}
    places = dict.fromkeys(
        ("pixel_m", "look_azimuth_deg", "top_east_m", "top_north_m"), pa.array(np.ones(len(ids), np.float32))
    )
    patches = {name: tensor(values) for name, values in {**samples.terrain, **flat}.items()}
    table = pa.table({"corridor_id": ids, **patches, **places}, TERRAIN_PATCHES)
    write_table(layout.terrain_patches, table, TERRAIN_PATCHES)
    night = [datetime(day.year, day.month, day.day, 5, 43, tzinfo=UTC) for day in days]
    passes = [
        Acquisition(day, when, "S1A", 1, "winter", "2017-18", "complete", ())
        for day, when in zip(days, night, strict=True)
    ]
    return PatchSet.open(layout, AcquisitionCatalogue(tuple(passes)), days)


def tensor(values):
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))
