"""The paper's detector: a VAE trained on patches without an avalanche; its score is what it cannot rebuild.

Loss per patch: `0.5 * sum((x - x_hat)^2) + kl_weight * KL` (Lu & Xu 2018), averaged over the batch; the
paper's KL weight 0.1 only has a meaning with this sum over all channels and pixels. One run of the network
gives several scores, with the mean latent code (Lu & Xu average over 15 sampled codes; the mean needs no
random draw and gives the same score every time):

- ``vae``: mean squared error over the whole patch and all four channels, in scaled units: the paper's.
- ``vae_kl``, ``vae_elbo``: divergence of the code, and the loss above; the paper found them worse.
- ``vae_local``: ours. A deposit is about one percent of a patch, so the error over the whole patch is mostly
  speckle and terrain, and it counts the darkening of wet snow as much as the brightening of debris. Here only
  the VV* residual counts, with its sign: smoothed over one pixel, against its median in the patch, weighted
  by a Gaussian around the deposit point; its maximum in dB.

Source: Sinha et al., NeurIPS 2019 Climate Change AI workshop, section 2; Lu & Xu, arXiv:1807.01349.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avalanche_assets.detectors.base import SCORING_BATCH, Look
from avalanche_assets.detectors.inputs import clipped, network_channels, network_input, unscale
from avalanche_assets.detectors.locality import over_median, smooth, strongest
from avalanche_assets.detectors.network import VaeNetwork, kl_divergence, reconstruction_error
from avalanche_assets.detectors.network_detector import NetworkDetector
from avalanche_assets.detectors.training import Losses
from avalanche_assets.patches.batches import PatchBatch
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import LearningSettings
from avalanche_assets.tables import PATCH_SIZE

NETWORK_CHANNELS = 4


class Vae(NetworkDetector):
    """The paper's VAE and the scores it gives."""

    variants: tuple[str, ...] = ("", "kl", "elbo", "local")
    variational = True
    least_kl = 1.0
    """Below this the code carries no information and every patch is reconstructed as the same picture."""

    def __init__(self, name: str = "vae") -> None:
        super().__init__(name)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels the network was trained on, in their order."""
        return cast(VaeNetwork, self.network).channels

    def _channels_of(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return network_channels(settings["angle"])

    def _build(self, settings: Mapping[str, Any]) -> nn.Module:
        return VaeNetwork(
            self._channels_of(settings), settings["base_channels"], settings["latent_size"], self.variational
        )

    def _losses(self, batch: PatchBatch, labels: Tensor, settings: LearningSettings) -> Losses:
        images = network_input(batch.images, batch.channels)
        rebuilt, mean, log_variance = self.network(images)
        error = reconstruction_error(images, rebuilt)
        if not self.variational:
            return Losses(error, error, {"reconstruction": error})
        divergence = kl_divergence(mean, log_variance)
        return Losses(
            error + settings.kl_weight * divergence,
            error,
            {"reconstruction": error, "kl": divergence},
            mean.flatten(1),
        )

    def look(self, batch: PatchBatch) -> Look:
        """All scores; the smoothed VV* residual over its median in dB."""
        images = network_input(batch.images, batch.channels)
        with torch.inference_mode():
            rebuilt, mean, log_variance = self.network(images)
            error = (images - rebuilt).double().square().mean(dim=(1, 2, 3)).numpy()
            divergence = kl_divergence(mean.double(), log_variance.double()).numpy()
        anomaly = self._residual(batch, rebuilt.numpy())
        elbo = 0.5 * images[0].numel() * error + self.description["settings"]["kl_weight"] * divergence
        return Look({"": error, "kl": divergence, "elbo": elbo, "local": strongest(anomaly)}, anomaly)

    def _residual(self, batch: PatchBatch, rebuilt: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = clipped(batch.images[:, :1], self.channels[:1])[:, 0]
        expected = unscale(rebuilt[:, :1], self.channels[:1])[:, 0]
        paired = np.isfinite(batch["vv_star_old"])  # without a value before, brightening has no meaning
        return over_median(smooth(np.where(paired, seen - expected, np.nan)))

    def reconstruct(self, samples: PatchSamples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the network sees and what it makes of it, for pictures and residuals.

        Returns:
            Input and reconstruction, each (n, 4, 64, 64) in the order of `channels`, dB and degrees; VV*
            clipped to ±15 dB; the input is NaN where no value, the reconstruction nowhere.
        """
        inputs = np.empty((len(samples), NETWORK_CHANNELS, PATCH_SIZE, PATCH_SIZE), np.float32)
        rebuilt = np.empty_like(inputs)
        for batch in samples.stream(self.channels, SCORING_BATCH):
            inputs[batch.rows], rebuilt[batch.rows] = self.rebuild(batch)
        return inputs, rebuilt

    def rebuild(self, batch: PatchBatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`reconstruct` of one batch that holds `channels`."""
        with torch.inference_mode():
            output = self.network(network_input(batch.images, self.channels))[0]
        return clipped(batch.images, self.channels), unscale(output.numpy(), self.channels)


class Autoencoder(Vae):
    """The same network without a random code and without the divergence in its loss."""

    variants = ("",)
    variational = False

    def __init__(self, name: str = "autoencoder") -> None:
        super().__init__(name)

    def look(self, batch: PatchBatch) -> Look:
        """Mean squared error; the smoothed VV* residual over its median in dB."""
        seen = super().look(batch)
        return Look({"": seen.scores[""]}, seen.anomaly)
