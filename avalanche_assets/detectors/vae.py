"""The paper's detector: a VAE trained on patches without an avalanche; its score is what it cannot rebuild.

Score: mean squared error over the whole patch and all four channels, in scaled units, with the mean latent
code. Lu & Xu average the error over 15 sampled codes; the mean code needs no random draw and gives the same
score every time.

Source: Sinha et al., NeurIPS 2019 Climate Change AI workshop, section 2; Lu & Xu, arXiv:1807.01349.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import torch as safetensors

from avalanche_assets.detectors.base import Progress, TrainingSummary, batches, scorable, silent
from avalanche_assets.detectors.description import (
    describe,
    read_description,
    require_equal,
    version_of,
    write_description,
)
from avalanche_assets.detectors.inputs import SCALING, network_channels, physical_input, unscale
from avalanche_assets.detectors.locality import smooth
from avalanche_assets.detectors.network import VaeNetwork
from avalanche_assets.detectors.vae_training import (
    SCORING_BATCH,
    network_input,
    reproducible,
    train_network,
)
from avalanche_assets.errors import DetectorError
from avalanche_assets.files import atomic_path
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import LearningSettings
from avalanche_assets.tables import PATCH_SIZE

NETWORK_CHANNELS = 4


def configuration(angle: str) -> dict[str, Any]:
    """What a stored network must agree on with this code, or its scores would mean something else."""
    channels = network_channels(angle)
    return {
        "channels": list(channels),
        "units": ["dB", "dB", "deg", "deg"],
        "scaling": {name: list(SCALING[name]) for name in channels},
        "patch_size": PATCH_SIZE,
    }


class Vae:
    """Whole-patch reconstruction error of the paper's VAE."""

    name = "vae"

    def __init__(self) -> None:
        self._trained: tuple[VaeNetwork, dict[str, Any]] | None = None

    @property
    def _network(self) -> VaeNetwork:
        return self._state[0]

    @property
    def description(self) -> dict[str, Any]:
        """Configuration, training settings, provenance and history, as stored in ``model.json``.

        Raises:
            DetectorError: The detector has not been trained.
        """
        return self._state[1]

    @property
    def _state(self) -> tuple[VaeNetwork, dict[str, Any]]:
        if self._trained is None:
            raise DetectorError(f"{self.name}: not trained; call fit, or load a trained model")
        return self._trained

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels the network was trained on, in their order."""
        return tuple(self.description["channels"])

    @property
    def version(self) -> str:
        """Hash over weights, configuration, training settings and history."""
        return version_of(self.description)

    def fit(
        self,
        samples: PatchSamples,
        settings: LearningSettings,
        progress: Progress = silent,
        validation: PatchSamples | None = None,
    ) -> TrainingSummary:
        """Trains a new network; `validation` (negatives too) chooses the best epoch.

        Raises:
            DetectorError: Too few samples, a diverging loss, or a collapsed latent code.
        """
        start = perf_counter()
        with reproducible(settings.seed, settings.threads):
            network = VaeNetwork(NETWORK_CHANNELS, settings.base_channels, settings.latent_size)
            best_epoch, history = train_network(network, samples, validation, settings, progress)
        content = {
            **configuration(settings.angle),
            "settings": settings.model_dump(mode="json"),
            "trained_on": {
                "samples": len(samples),
                "corridors": len(set(samples.corridor_ids)),
                "dates": sorted({day.isoformat() for day in samples.dates}),
            },
            "validation_samples": 0 if validation is None else len(validation),
            "best_epoch": best_epoch,
            "history": [asdict(record) for record in history],
            "torch": torch.__version__,
            "weights_sha256": hashlib.sha256(_weights_bytes(network)).hexdigest(),
        }
        self._trained = (network, describe(Vae.name, content))
        return TrainingSummary(
            detector=self.name,
            version=self.version,
            samples=len(samples),
            validation_samples=content["validation_samples"],
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            best_epoch=best_epoch,
            seconds=perf_counter() - start,
            history=history,
        )

    def score(self, samples: PatchSamples) -> NDArray[np.float64]:
        """Mean squared errors (N,) in scaled units; NaN where the VV* pair holds no value at all."""
        scores = np.full(len(samples), np.nan)
        with torch.inference_mode():
            for rows in batches(len(samples), SCORING_BATCH):
                images = network_input(samples, rows, self.channels)
                error = (images - self._network(images)[0]).double().square().mean(dim=(1, 2, 3))
                scores[rows] = np.where(scorable(samples, rows), error.numpy(), np.nan)
        return scores

    def reconstruct(self, samples: PatchSamples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the network sees and what it makes of it, for pictures and residuals.

        Returns:
            Input and reconstruction, each (n, 4, 64, 64) in the order of `channels`, dB and degrees; VV*
            clipped to ±15 dB; the input is NaN where no value, the reconstruction nowhere.
        """
        inputs = np.empty((len(samples), NETWORK_CHANNELS, PATCH_SIZE, PATCH_SIZE), np.float32)
        rebuilt = np.empty_like(inputs)
        with torch.inference_mode():
            for rows in batches(len(samples), SCORING_BATCH):
                inputs[rows] = physical_input(samples, rows, self.channels)
                output = self._network(network_input(samples, rows, self.channels))[0]
                rebuilt[rows] = unscale(output.numpy(), self.channels)
        return inputs, rebuilt

    def anomaly_map(self, samples: PatchSamples) -> NDArray[np.float32]:
        """Smoothed VV* residual (n, 64, 64) in dB, positive where brighter than expected.

        NaN where one of the two dates has no value.
        """
        residuals = np.empty((len(samples), PATCH_SIZE, PATCH_SIZE), np.float32)
        for rows in batches(len(samples), SCORING_BATCH):
            inputs, rebuilt = self.reconstruct(samples.subset(rows))
            paired = np.isfinite(inputs[:, 1])  # without a value before, brightening has no meaning
            residuals[rows] = smooth(np.where(paired, inputs[:, 0] - rebuilt[:, 0], np.nan))
        return residuals

    def save(self, folder: Path) -> None:
        """Writes the weights, then ``model.json`` that names them, then removes older weights.

        The weights' file name holds their hash, so an interrupted writing leaves the old model whole.
        """
        weights = folder / _weights_name(self.description)
        with atomic_path(weights) as temporary:
            temporary.write_bytes(_weights_bytes(self._network))
        write_description(folder, self.description)
        for other in folder.glob("weights.*.safetensors"):
            if other != weights:
                other.unlink()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads and checks both files.

        Raises:
            DetectorError: A file is missing, altered, of another format, or computed with other channels.
        """
        description = read_description(folder, cls.name)
        angle = "local_incidence" if "local_incidence" in description.get("channels", ()) else "aspect"
        require_equal(folder, description, configuration(angle))
        settings = description["settings"]
        network = VaeNetwork(NETWORK_CHANNELS, settings["base_channels"], settings["latent_size"])
        path = folder / _weights_name(description)
        remedy = f"materialise the asset of {cls.name!r} again"
        if not path.exists():
            raise DetectorError(f"{path}: the weights are missing; {remedy}")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
            raise DetectorError(f"{path}: sha256 is not weights_sha256 of model.json; {remedy}")
        try:
            network.load_state_dict(safetensors.load(content))
        except (SafetensorError, RuntimeError) as error:
            raise DetectorError(f"{path}: not the weights of this network ({error}); {remedy}") from error
        network.eval()
        detector = cls()
        detector._trained = (network, description)
        return detector


def _weights_bytes(network: VaeNetwork) -> bytes:
    return safetensors.save({name: value.contiguous() for name, value in network.state_dict().items()})


def _weights_name(description: dict[str, Any]) -> str:
    return f"weights.{description['weights_sha256'][:12]}.safetensors"
