"""Training of any network: epochs over streamed batches, early stopping, a checkpoint after every epoch.

With the same seed and thread count a training gives the same bits again, also when it was interrupted and
resumed; with other thread counts the weights differ slightly.
"""

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avalanche_assets.detectors.base import SCORING_BATCH, Epoch, Progress
from avalanche_assets.detectors.checkpoint import read_checkpoint, write_checkpoint
from avalanche_assets.detectors.description import content_hash
from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.batches import PatchBatch, PatchSource
from avalanche_assets.settings import LearningSettings

ADAM_BETAS = (0.9, 0.999)
RATE_DROP_EPOCH = 50
"""Lu & Xu divide the learning rate by ten here."""
ACTIVE_VARIANCE = 0.01
"""A latent dimension is active when its mean varies more than this (Burda et al. 2016, section 5.2)."""
REPORT_SECONDS = 30.0


@dataclass(frozen=True)
class Losses:
    """What a network makes of n patches.

    Attributes:
        loss: What is minimised, per patch (n,).
        parts: What it is made of, each (n,).
        code: Mean latent code (n, latent size), if there is one.
        score: Anomaly score (n,).
    """

    loss: Tensor
    score: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    code: Tensor | None = None


@dataclass(frozen=True)
class Task:
    """What is trained and on what.

    Attributes:
        name: Detector, for messages.
        network: Changed in place.
        losses: Evaluates the network on a batch and its 0/1 labels (n,).
        channels: What `losses` needs.
        train: Training samples.
        validation: Observable validation samples of any label.
        window: Which labels count.
        least_kl: Nats below which the training has failed.
    """

    name: str
    network: nn.Module
    losses: Callable[[PatchBatch, Tensor], Losses]
    channels: tuple[str, ...]
    train: PatchSource
    validation: PatchSource
    window: str
    least_kl: float


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Runs a block under its own seed and thread count and restores both."""
    threads_before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)


def keep_freed_memory() -> None:
    """Lets glibc keep what a training step frees instead of returning it to the system page by page.

    A step frees and asks again for the same large arrays; without this the page faults cost a tenth to a
    third of the time. Elsewhere than on glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**30)


def train_network(
    task: Task, settings: LearningSettings, progress: Progress, checkpoint: Path | None = None
) -> tuple[int, tuple[Epoch, ...]]:
    """Trains the network in place and leaves it with the weights of the best epoch, in evaluation mode.

    The best epoch has the lowest validation loss, or is the last one without validation samples; training
    ends when `settings.patience` epochs brought nothing better. Call it inside `reproducible`.

    Args:
        task: Network and samples.
        settings: Epochs, rates, seed.
        progress: Receives a line per epoch and every half minute.
        checkpoint: File resumed from if it fits; written after every epoch, removed at the end.

    Returns:
        The best epoch and the means of every epoch.

    Raises:
        DetectorError: Fewer than two samples, a loss that is not finite, or a collapsed latent code.
    """
    if len(task.train) < 2:
        raise DetectorError(
            f"{task.name}: {len(task.train)} training samples; at least 2 are needed: add acquisitions or "
            "corridors, or lower learning.test_dates and learning.validation_dates"
        )
    keep_freed_memory()
    network = task.network
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=ADAM_BETAS)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [RATE_DROP_EPOCH])
    history: list[Epoch] = []
    best, weights = 0, _copy_weights(network)
    fingerprint = _fingerprint(task, settings)
    if stored := read_checkpoint(checkpoint, fingerprint):
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        schedule.load_state_dict(stored["schedule"])
        torch.set_rng_state(stored["random"])
        history = [Epoch(**record) for record in stored["history"]]
        best, weights = stored["best"], stored["weights"]
        progress(f"{task.name}: resumed after epoch {len(history)}")
    clock = _Clock(task.name, len(task.train), settings.epochs, len(history), progress)
    while len(history) < settings.epochs and len(history) - best < settings.patience:
        epoch = len(history) + 1
        record = _train_epoch(task, optimiser, settings, epoch, clock)
        schedule.step()
        history.append(record)
        if best == 0 or _criterion(record) <= _criterion(history[best - 1]):
            best, weights = epoch, _copy_weights(network)
        clock.epoch_done(record)
        if checkpoint is not None:
            write_checkpoint(
                checkpoint,
                {
                    "fingerprint": fingerprint,
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "random": torch.get_rng_state(),
                    "history": [asdict(record) for record in history],
                    "best": best,
                    "weights": weights,
                },
            )
    _require_information(task, history[best - 1], settings)
    network.load_state_dict(weights)
    network.eval()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return best, tuple(history)


def _criterion(record: Epoch) -> float:
    """What the best epoch minimises; without validation samples the latest epoch is the best."""
    return -float(record.epoch) if record.validation_loss is None else record.validation_loss


def _fingerprint(task: Task, settings: LearningSettings) -> str:
    """The same for the same training: settings, samples and library."""
    samples = [
        [f"{day} {corridor}" for day, corridor in zip(source.dates, source.corridor_ids, strict=True)]
        for source in (task.train, task.validation)
    ]
    content: dict[str, Any] = {"task": task.name, "samples": samples, "torch": torch.__version__}
    return content_hash({**content, "settings": settings.model_dump(mode="json")})


def _train_epoch(
    task: Task, optimiser: torch.optim.Optimizer, settings: LearningSettings, epoch: int, clock: "_Clock"
) -> Epoch:
    task.network.train()
    positive = task.train.labels(task.window) == "positive"
    means = _Means()
    for batch in task.train.stream(task.channels, settings.batch_size, (settings.seed, epoch)):
        if len(batch) < min(settings.batch_size, len(task.train)) // 2:
            continue  # a tiny last batch would upset batch normalisation
        optimiser.zero_grad(set_to_none=True)
        found = task.losses(batch, _labels(positive, batch))
        loss = found.loss.mean()
        if not math.isfinite(loss.item()):
            raise DetectorError(
                f"{task.name}: the loss is {loss.item()} in epoch {epoch}; lower learning.learning_rate, "
                f"which is {settings.learning_rate}"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        means.add(found)
        clock.batch_done(epoch, len(batch))
    validation_loss, validation_ap = _validate(task)
    return Epoch(
        epoch=epoch,
        loss=means.loss,
        parts=means.parts,
        active_units=means.active_units,
        validation_loss=validation_loss,
        validation_ap=validation_ap,
    )


def _labels(positive: NDArray[np.bool_], batch: PatchBatch) -> Tensor:
    return torch.from_numpy(positive[batch.rows].astype(np.float32))


def _validate(task: Task) -> tuple[float | None, float | None]:
    """Mean loss on the negatives without random draws, and average precision of the score."""
    from sklearn.metrics import average_precision_score

    if len(task.validation) == 0:
        return None, None
    states = task.validation.labels(task.window)
    positive = states == "positive"
    loss, score = (np.full(len(states), np.nan) for _ in range(2))
    task.network.eval()
    with torch.inference_mode():
        for batch in task.validation.stream(task.channels, SCORING_BATCH):
            found = task.losses(batch, _labels(positive, batch))
            loss[batch.rows], score[batch.rows] = found.loss.double().numpy(), found.score.double().numpy()
    negative = states == "negative"
    labelled = (positive | negative) & np.isfinite(score)
    precision = None
    if positive[labelled].any() and negative[labelled].any():
        precision = float(average_precision_score(positive[labelled], score[labelled]))
    return (float(loss[negative].mean()) if negative.any() else None), precision


class _Means:
    """Means over the batches of an epoch."""

    def __init__(self) -> None:
        self._count = 0
        self._totals: dict[str, float] = {}
        self._moments: NDArray[np.float64] | None = None

    def add(self, found: Losses) -> None:
        """Takes in one batch."""
        self._count += len(found.loss)
        for name, values in {"": found.loss, **found.parts}.items():
            self._totals[name] = self._totals.get(name, 0.0) + values.detach().sum().item()
        if found.code is not None:
            code = found.code.detach().double().numpy()
            moments = np.stack([code.sum(axis=0), (code**2).sum(axis=0)])
            self._moments = moments if self._moments is None else self._moments + moments

    @property
    def loss(self) -> float:
        """Per patch."""
        return self._totals[""] / self._count

    @property
    def parts(self) -> dict[str, float]:
        """Per patch, by name."""
        return {name: total / self._count for name, total in self._totals.items() if name}

    @property
    def active_units(self) -> int:
        """Latent dimensions whose mean varies."""
        if self._moments is None:
            return 0
        first, second = self._moments / self._count
        return int((second - first**2 > ACTIVE_VARIANCE).sum())


class _Clock:
    """Says how far a training is, how fast, and how long it will take."""

    def __init__(self, name: str, samples: int, epochs: int, done: int, progress: Progress) -> None:
        self._name, self._samples, self._epochs, self._done = name, samples, epochs, done
        self._progress, self._start, self._served = progress, perf_counter(), 0
        self._reported = self._start
        self._epoch, self._in_epoch = 0, 0

    def _speed(self) -> str:
        """So far, validation included."""
        images_per_s = self._served / max(perf_counter() - self._start, 1e-9)
        left = (self._epochs - self._done) * self._samples - self._served
        return f"{images_per_s:.0f} images/s, {left / images_per_s / 60:.1f} min left at most"

    def batch_done(self, epoch: int, images: int) -> None:
        """Reports now and then."""
        # The last patches of an epoch, too few for a batch, are left out.
        self._epoch, self._in_epoch = epoch, images + (self._in_epoch if epoch == self._epoch else 0)
        self._served += images
        if perf_counter() - self._reported > REPORT_SECONDS:
            self._reported = perf_counter()
            self._progress(
                f"{self._name} epoch {epoch}/{self._epochs}: {self._in_epoch:,} of {self._samples:,} "
                f"patches, {self._speed()}"
            )

    def epoch_done(self, record: Epoch) -> None:
        """Reports an epoch."""
        parts = "".join(f", {name} {value:.1f}" for name, value in record.parts.items())
        units = f", {record.active_units} active units" if record.active_units else ""
        checked = "" if record.validation_loss is None else f", validation {record.validation_loss:.1f}"
        if record.validation_ap is not None:
            checked += f", average precision {record.validation_ap:.3f}"
        self._progress(
            f"{self._name} epoch {record.epoch}/{self._epochs}: loss {record.loss:.1f}{parts}{units}"
            f"{checked}, {self._speed()}"
        )


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _require_information(task: Task, record: Epoch, settings: LearningSettings) -> None:
    kl = record.parts.get("kl", math.inf)
    if kl < task.least_kl:
        raise DetectorError(
            f"{task.name}: the latent code collapsed: KL is {kl:.3f} nats in epoch {record.epoch}, at least "
            f"{task.least_kl:g} is needed; lower learning.kl_weight, which is {settings.kl_weight}"
        )
