"""The variational autoencoder of Lu & Xu 2018 at 64 x 64 pixels, as Sinha et al. 2019 use it.

Fully convolutional: four strided 4 x 4 convolutions down to 4 x 4 pixels, one 4 x 4 convolution to the mean
and one to the log-variance of the latent code, and the mirrored transposed convolutions back, with tanh at
the end; so inputs must lie in [-1, 1].

Source: Y. Lu, P. Xu, Anomaly detection for skin disease images using variational autoencoder,
arXiv:1807.01349; S. Sinha et al., NeurIPS 2019 Climate Change AI workshop, section 2 (latent size 300).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

DOUBLINGS = 3
"""Blocks that double the channels while they halve the picture: 32, 16, 8, 4 pixels for 64 at the input."""


class VaeNetwork(nn.Module):
    """Encoder and decoder; `base_channels` 64 and `latent_size` 300 give the paper's network.

    Without `variational` it is a plain autoencoder: the code is the mean, in training too.
    """

    def __init__(
        self, channels: Sequence[str], base_channels: int, latent_size: int, variational: bool = True
    ) -> None:
        super().__init__()
        self.channels, self.variational = tuple(channels), variational
        widths = [base_channels * 2**level for level in range(DOUBLINGS + 1)]
        down: list[nn.Module] = [nn.Conv2d(len(channels), widths[0], 4, 2, 1), nn.ReLU()]
        up: list[nn.Module] = [nn.ConvTranspose2d(latent_size, widths[-1], 4), *_normalised(widths[-1])]
        for narrow, wide in pairwise(widths):
            down += [nn.Conv2d(narrow, wide, 4, 2, 1), *_normalised(wide)]
        for wide, narrow in pairwise(reversed(widths)):
            up += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1), *_normalised(narrow)]
        up += [nn.ConvTranspose2d(widths[0], len(channels), 4, 2, 1), nn.Tanh()]
        self.encoder = nn.Sequential(*down)
        self.decoder = nn.Sequential(*up)
        self.mean = nn.Conv2d(widths[-1], latent_size, 4)
        self.log_variance = nn.Conv2d(widths[-1], latent_size, 4)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent code, each (n, latent_size, 1, 1)."""
        features = self.encoder(images)
        return self.mean(features), self.log_variance(features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log-variance; the code is sampled in training, the mean in evaluation."""
        mean, log_variance = self.encode(images)
        code = mean
        if self.training and self.variational:
            code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(code), mean, log_variance


def _normalised(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()]


def reconstruction_error(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Half the squared error summed over channels and pixels, per image (n,).

    Source: Lu & Xu 2018; the sum, not the mean, gives the KL weight its meaning.
    """
    return 0.5 * (images - reconstruction).square().flatten(1).sum(dim=1)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of the code from the standard normal, summed over the latent size, per image (n,), nats.

    Source: D. P. Kingma, M. Welling, Auto-encoding variational Bayes, ICLR 2014, appendix B.
    """
    terms = mean.square() + log_variance.exp() - log_variance - 1
    return 0.5 * terms.flatten(1).sum(dim=1)
