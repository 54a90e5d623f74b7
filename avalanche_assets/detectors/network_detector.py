"""What detectors with a network share: building, training, storing."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_assets.detectors.base import RECIPES, Detector, Progress, TrainingSummary, silent
from avalanche_assets.detectors.description import Tensors, describe_weights
from avalanche_assets.detectors.inputs import scaling_of
from avalanche_assets.detectors.training import Losses, Task, reproducible, train_network
from avalanche_assets.detectors.tree_detectors import trained_on
from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.batches import PatchBatch, PatchSource
from avalanche_assets.settings import LearningSettings
from avalanche_assets.tables import PATCH_SIZE


class NetworkDetector(Detector):
    """A detector whose weights are those of a torch network; `least_kl` is that of its `Task`."""

    least_kl = 0.0

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._net: nn.Module | None = None

    @property
    def network(self) -> nn.Module:
        """The network, trained or being trained.

        Raises:
            DetectorError: There is none yet.
        """
        if self._net is None:
            raise DetectorError(f"{self.name}: not trained; call fit, or load a trained model")
        return self._net

    @abstractmethod
    def _build(self, settings: Mapping[str, Any]) -> nn.Module:
        """The network that settings describe, with random weights; sets `channels`, too."""

    @abstractmethod
    def _losses(self, batch: PatchBatch, labels: Tensor, settings: LearningSettings) -> Losses:
        """Loss and score of a batch."""

    def _examples(self, train: PatchSource, settings: LearningSettings) -> PatchSource:
        """Which of the training samples the network sees."""
        return train

    def fit(
        self,
        train: PatchSource,
        validation: PatchSource,
        settings: LearningSettings,
        progress: Progress = silent,
        checkpoint: Path | None = None,
    ) -> TrainingSummary:
        """Trains a new network; the validation negatives choose the best epoch.

        Raises:
            DetectorError: Too few samples, a diverging loss, or a collapsed latent code.
        """
        start = perf_counter()
        samples = self._examples(train, settings)
        with reproducible(settings.seed, settings.threads):
            self._net = self._build(settings.model_dump(mode="json"))
            task = Task(
                self.model,
                self._net,
                lambda batch, labels: self._losses(batch, labels, settings),
                self.channels,
                samples,
                validation,
                RECIPES[self.model].window,
                self.least_kl,
            )
            best_epoch, history = train_network(task, settings, progress, checkpoint)
        content = {
            **self._configuration({"settings": settings.model_dump(mode="json")}),
            "settings": settings.model_dump(mode="json"),
            "trained_on": trained_on(samples),
            "validation_samples": len(validation),
            "best_epoch": best_epoch,
            "history": [asdict(record) for record in history],
            "torch": torch.__version__,
        }
        self._described = describe_weights(self.model, content, self._tensors())
        return TrainingSummary(
            detector=self.name,
            version=self.version,
            samples=len(samples),
            validation_samples=len(validation),
            parameters=sum(parameter.numel() for parameter in self._net.parameters()),
            best_epoch=best_epoch,
            seconds=perf_counter() - start,
            history=history,
        )

    def _configuration(self, description: Mapping[str, Any]) -> dict[str, Any]:
        channels = self._channels_of(description["settings"])
        return {"channels": list(channels), "scaling": scaling_of(channels), "patch_size": PATCH_SIZE}

    @abstractmethod
    def _channels_of(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The network's channels under these settings."""

    def _tensors(self) -> Tensors:
        return {name: value.contiguous().numpy() for name, value in self.network.state_dict().items()}

    def _restore(self, description: Mapping[str, Any], tensors: Tensors) -> None:
        self._net = self._build(description["settings"])
        self._net.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
        self._net.eval()
