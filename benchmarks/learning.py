"""Training from the stored tables against training from memory, and the scores of a whole date.

Patches are those of `benchmarks.patches`: 3,000 corridors a date, speckle over a texture.
"""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np

from avalanche_assets.detectors.base import create_detector, load_detector
from avalanche_assets.patches.batches import PatchSource
from avalanche_assets.patches.loading import LoadedSamples, load_samples
from avalanche_assets.patches.patch_set import PatchSet
from avalanche_assets.settings import LearningSettings
from benchmarks.patches import DAYS, stored_season
from benchmarks.scene import Scene

Work = Callable[[], int]

NARROW = LearningSettings(base_channels=16, epochs=1, batch_size=128, learning_rate=1e-3)
"""The fastest network that is of use: what feeds it is the hardest to hide."""


def train_stream(scene: Scene) -> Work:
    """One epoch of the paper's VAE at a quarter of its width, streamed from the tables."""
    return _training(PatchSet.open(*stored_season(scene), DAYS))


def train_memory(scene: Scene) -> Work:
    """The same from memory."""
    return _training(load_samples(*stored_season(scene), DAYS))


def _training(samples: PatchSource) -> Work:
    nothing = samples.subset(np.zeros(len(samples), bool))
    warm = np.arange(len(samples)) < 2 * NARROW.batch_size
    create_detector("vae").fit(samples.subset(warm), nothing, NARROW)

    def work() -> int:
        return create_detector("vae").fit(samples, nothing, NARROW).samples

    return work


def score_date_vae(scene: Scene) -> Work:
    """Four scores of the paper's VAE at its full width, for 3,000 corridors, tables read."""
    return _scoring(scene, "vae")


def score_date_ours(scene: Scene) -> Work:
    """Of all detectors the one that takes longest but for the paper's: the conditional VAE at full width."""
    return _scoring(scene, "conditional_vae")


def _scoring(scene: Scene, name: str) -> Work:
    layout, catalogue = stored_season(scene)
    few = _labelled(load_samples(layout, catalogue, DAYS[1:2]).subset(np.arange(64)))
    detector = create_detector(name)
    detector.fit(few, few.subset(np.zeros(64, bool)), LearningSettings(epochs=1))
    detector.save(layout.model(name))
    detector.look_at(few.samples)

    def work() -> int:
        return _score(scene, name, DAYS[1:2])

    return work


def _score(scene: Scene, name: str, days: Sequence[date]) -> int:
    layout, catalogue = stored_season(scene)
    samples = load_samples(layout, catalogue, days).samples
    return len(load_detector(name, layout.model(name)).look_at(samples).anomaly)


def _labelled(samples: LoadedSamples) -> LoadedSamples:
    """Some of both kinds, for detectors that learn from labels."""
    samples.new[:] = "negative"
    samples.new[::4] = "positive"
    return samples


def report(measure: Callable[[str], object], full: bool) -> list[str]:
    """Lines with the absolute claims; `measure` runs a task and gives its result or None."""
    lines = []
    for task, text in (
        ("score_date_vae", "the paper's VAE at full width, four scores"),
        ("score_date_ours", "the default detector"),
    ):
        if (scored := measure(task)) is not None:
            met = "yes" if scored.wall <= 20 and scored.peak_gb <= 2 else "NO"
            asked = f"; asked 20 s, 2 GB: {met}" if full else ""
            lines.append(
                f"3,000 corridors of a date read and scored, {text}: {scored.wall:.1f} s wall, "
                f"{scored.cpu:.1f} s CPU, {scored.peak_gb:.2f} GB{asked}"
            )
    return lines
