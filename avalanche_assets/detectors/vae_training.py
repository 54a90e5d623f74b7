"""Training of the VAE: Adam on half the summed squared error plus the weighted divergence.

Loss per patch, averaged over the batch: `0.5 * sum((x - x_hat)^2) + kl_weight * KL` (Lu & Xu 2018); the
paper's KL weight 0.1 only has a meaning with this sum. With the same seed and thread count a training
gives the same bits again; with other thread counts the weights differ slightly.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avalanche_assets.detectors.base import Epoch, Progress, batches
from avalanche_assets.detectors.inputs import network_channels, physical_input, scale
from avalanche_assets.detectors.network import VaeNetwork, kl_divergence, reconstruction_error
from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import LearningSettings

ADAM_BETAS = (0.9, 0.999)
RATE_DROP_EPOCH = 50
"""Lu & Xu divide the learning rate by ten here."""
ACTIVE_VARIANCE = 0.01
"""A latent dimension is active when its mean varies more than this (Burda et al. 2016, section 5.2)."""
LEAST_KL_NATS = 1.0
"""Below this the code carries no information and every patch is reconstructed as the same picture."""
SCORING_BATCH = 128


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


def network_input(samples: PatchSamples, rows: NDArray[np.int64], channels: Sequence[str]) -> Tensor:
    """Scaled channels of the chosen samples, float32 (n, 4, 64, 64), channels last in memory."""
    images = torch.from_numpy(scale(physical_input(samples, rows, channels), channels))
    return images.contiguous(memory_format=torch.channels_last)


def train_network(
    network: VaeNetwork,
    samples: PatchSamples,
    validation: PatchSamples | None,
    settings: LearningSettings,
    progress: Progress,
) -> tuple[int, tuple[Epoch, ...]]:
    """Trains `network` in place and leaves it with the weights of the best epoch, in evaluation mode.

    The best epoch has the lowest validation loss, or is the last one without validation samples. Call it
    inside `reproducible`.

    Returns:
        The best epoch and the means of every epoch.

    Raises:
        DetectorError: Fewer than two samples, a loss that is not finite, or a collapsed latent code.
    """
    if len(samples) < 2:
        raise DetectorError(
            f"vae: {len(samples)} training samples; at least 2 are needed: add acquisitions or corridors, "
            "or lower learning.test_dates and learning.validation_dates"
        )
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=ADAM_BETAS)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [RATE_DROP_EPOCH])
    history: list[Epoch] = []
    best, weights = 0, _copy_weights(network)
    for epoch in range(1, settings.epochs + 1):
        record = _train_epoch(network, optimiser, samples, validation, settings, epoch)
        schedule.step()
        history.append(record)
        progress(_line(record, settings.epochs))
        if best == 0 or _criterion(record) <= _criterion(history[best - 1]):
            best, weights = epoch, _copy_weights(network)
    _require_information(history[best - 1], settings)
    network.load_state_dict(weights)
    network.eval()
    return best, tuple(history)


def _criterion(record: Epoch) -> float:
    """What the best epoch minimises; without validation samples the latest epoch is the best."""
    return -float(record.epoch) if record.validation_loss is None else record.validation_loss


def _train_epoch(
    network: VaeNetwork,
    optimiser: torch.optim.Optimizer,
    samples: PatchSamples,
    validation: PatchSamples | None,
    settings: LearningSettings,
    epoch: int,
) -> Epoch:
    network.train()
    totals = np.zeros(2)
    sums = np.zeros((2, settings.latent_size))
    for rows in _shuffled(len(samples), settings.batch_size, settings.seed, epoch):
        images = network_input(samples, rows, network_channels(settings.angle))
        optimiser.zero_grad(set_to_none=True)
        reconstruction, mean, log_variance = network(images)
        error = reconstruction_error(images, reconstruction)
        divergence = kl_divergence(mean, log_variance)
        loss = (error + settings.kl_weight * divergence).mean()
        if not math.isfinite(loss.item()):
            raise DetectorError(
                f"vae: the loss is {loss.item()} in epoch {epoch}; lower learning.learning_rate, "
                f"which is {settings.learning_rate}"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        codes = mean.detach().flatten(1).double().numpy()
        totals += (error.sum().item(), divergence.sum().item())
        sums += (codes.sum(axis=0), (codes**2).sum(axis=0))
    error_mean, divergence_mean = totals / len(samples)
    first, second = sums / len(samples)
    return Epoch(
        epoch=epoch,
        loss=float(error_mean + settings.kl_weight * divergence_mean),
        reconstruction=float(error_mean),
        kl=float(divergence_mean),
        active_units=int((second - first**2 > ACTIVE_VARIANCE).sum()),
        validation_loss=_mean_code_loss(network, validation, settings),
    )


def _shuffled(count: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """A new order every epoch in nearly equal batches: a tiny last one would upset batch normalisation."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return np.array_split(order, math.ceil(count / batch_size))


def _mean_code_loss(
    network: VaeNetwork, samples: PatchSamples | None, settings: LearningSettings
) -> float | None:
    """Mean loss per patch with the mean latent code, so that it does not depend on a random draw."""
    if samples is None or len(samples) == 0:
        return None
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for rows in batches(len(samples), SCORING_BATCH):
            images = network_input(samples, rows, network_channels(settings.angle))
            reconstruction, mean, log_variance = network(images)
            loss = reconstruction_error(images, reconstruction)
            loss = loss + settings.kl_weight * kl_divergence(mean, log_variance)
            total += loss.double().sum().item()
    return total / len(samples)


def _copy_weights(network: VaeNetwork) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _require_information(record: Epoch, settings: LearningSettings) -> None:
    if record.kl < LEAST_KL_NATS:
        raise DetectorError(
            f"vae: the latent code collapsed: KL is {record.kl:.3f} nats in epoch {record.epoch}, at least "
            f"{LEAST_KL_NATS:g} is needed; lower learning.kl_weight, which is {settings.kl_weight}"
        )


def _line(record: Epoch, epochs: int) -> str:
    validation = "" if record.validation_loss is None else f", validation {record.validation_loss:.1f}"
    return (
        f"vae epoch {record.epoch}/{epochs}: loss {record.loss:.1f}, "
        f"reconstruction {record.reconstruction:.1f}, KL {record.kl:.0f} nats, "
        f"{record.active_units} active units{validation}"
    )
