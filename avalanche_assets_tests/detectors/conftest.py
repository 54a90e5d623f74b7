"""Small constructed patches: smooth fields with speckle, and debris tongues on the positives."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from avalanche_assets.patches.loading import LoadedSamples
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import LearningSettings

FIRST_DATE = date(2018, 1, 3)
SPECKLE_DB = 1.4
"""Standard deviation of ten looks in dB (4.343 * sqrt(trigamma(10)))."""


def make_samples(vv_star, corridors=None, dates=None, previous=None, terrain=None):
    """Samples over (M, 64, 64) patches: by default every patch follows the one before."""
    count = len(vv_star)
    current = np.arange(count) if previous is None else np.arange(count)[-len(previous) :]
    previous = np.maximum(current - 1, 0) if previous is None else np.asarray(previous)
    zeros = np.zeros((1, 64, 64), np.float16)
    return PatchSamples(
        corridor_ids=corridors or [f"73040{i:03d}" for i in range(len(current))],
        dates=dates or [FIRST_DATE] * len(current),
        backscatter={"vv_star": np.asarray(vv_star, np.float16)},
        terrain=terrain or {"slope": zeros + 30, "aspect": zeros + 180},
        current=current,
        previous=previous,
        corridor=np.zeros(len(current), np.int64),
    )


def labelled(samples, states):
    """The samples with the same states in both windows."""
    states = np.asarray(states, object)
    reasons = np.full(len(states), None)
    return LoadedSamples(samples, states, states, np.ones(len(states), bool), reasons)


def season(corridors=60, dates=8, positive_share=0.12, seed=1):
    """A labelled season of `corridors` x `dates` samples; date 0 is only a previous one.

    Backscatter is a texture per corridor, a drift per date and speckle; a positive carries a tongue of
    +5 dB, 4 pixels wide and 12 long, that ends within a few pixels of the deposit point.
    """
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(corridors, 64, 64)), (0, 6, 6))
    texture = 2 * smooth / smooth.std()
    slope = np.clip(28 + 8 * gaussian_filter(rng.normal(size=(corridors, 64, 64)), (0, 8, 8)) * 20, 0, 60)
    aspect = np.broadcast_to(rng.uniform(0, 360, (corridors, 1, 1)), (corridors, 64, 64))
    patches, vh = np.empty((2, dates, corridors, 64, 64), np.float32)
    positive = rng.random((dates, corridors)) < positive_share
    for day in range(dates):
        level = texture + rng.normal(0, 0.7)
        patches[day], vh[day] = level + rng.normal(0, SPECKLE_DB, (2, *texture.shape))
        for corridor in np.flatnonzero(positive[day]):
            row, col = 32 + rng.integers(-4, 3), 32 + rng.integers(-4, 5)
            patches[day, corridor, row - 12 : row, col - 2 : col + 2] += 5
            vh[day, corridor, row - 12 : row, col - 2 : col + 2] += 5
    used = range(1, dates)
    samples = PatchSamples(
        corridor_ids=[f"73040{c:03d}" for _ in used for c in range(corridors)],
        dates=[FIRST_DATE + timedelta(days=6 * d) for d in used for _ in range(corridors)],
        backscatter={
            "vv_star": patches.reshape(-1, 64, 64).astype(np.float16),
            "vh_star": vh.reshape(-1, 64, 64).astype(np.float16),
        },
        terrain={
            "slope": slope.astype(np.float16),
            "aspect": aspect.astype(np.float16),
            "local_incidence": np.full(slope.shape, 45, np.float16),
            "visible": np.ones(slope.shape, np.float16),
        },
        current=np.arange(corridors, dates * corridors),
        previous=np.arange((dates - 1) * corridors),
        corridor=np.tile(np.arange(corridors), dates - 1),
    )
    states = np.where(positive[1:].ravel(), "positive", "negative").astype(object)
    return labelled(samples, states)


@pytest.fixture
def samples_of():
    return make_samples


@pytest.fixture
def negatives_of():
    """Patches as samples without a deposit."""

    def make(vv_star):
        samples = make_samples(vv_star)
        return labelled(samples, ["negative"] * len(samples))

    return make


@pytest.fixture(scope="session")
def simulated_season():
    return season()


@pytest.fixture(scope="session")
def corridors_of():
    """Corridors of a season for a split by date, and no known positive."""

    def make(season):
        ids = sorted(set(season.corridor_ids))
        corridors = pd.DataFrame({"corridor_id": ids, "massif_id": 11, "deposit_x": 0.0, "deposit_y": 0.0})
        return corridors, pd.DataFrame({"acquisition_date": [], "corridor_id": []}, dtype=object)

    return make


@pytest.fixture(scope="session")
def small_settings():
    return LearningSettings(
        base_channels=8,
        latent_size=32,
        epochs=2,
        learning_rate=1e-3,
        test_dates=2,
        validation_dates=1,
        threads=1,
        seed=7,
    )
