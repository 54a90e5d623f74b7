"""A conditional VAE: what VV* and VH* should be now, given the image before and the terrain.

A U-Net goes down over the condition to 4 x 4 pixels and back up with its own levels beside it; a second,
narrower tower looks at both dates and gives a small latent code, which enters at the bottom: it can hold what
moved the whole patch (melt, refreeze, drift), not where a deposit lies. The last layer sees the condition
itself and gives a mean and a log-variance for each pixel and polarisation.

Source: K. Sohn, H. Lee, X. Yan, Learning structured output representation using deep conditional generative
models, NeurIPS 2015; mean and variance per pixel: A. Kendall, Y. Gal, NeurIPS 2017.
"""

import torch
from torch import Tensor, nn

LEVELS = 4
"""Halvings: 32, 16, 8, 4 pixels for 64 at the input."""
LOG_VARIANCE_RANGE = (-9.0, 1.0)
"""In scaled units squared: standard deviations from 0.17 dB to 25 dB."""
FIRST_LOG_VARIANCE = -4.0
"""About 2 dB, so that training starts where speckle is."""


class ConditionalVaeNetwork(nn.Module):
    """Mean and log-variance of `targets` channels given `conditions` channels."""

    def __init__(self, targets: int, conditions: int, base_channels: int, latent_size: int) -> None:
        super().__init__()
        widths = [base_channels * 2**level for level in range(LEVELS)]
        narrow = [max(width // 2, 4) for width in widths]
        self.down = nn.ModuleList(_halving(before, after) for before, after in _steps(conditions, widths))
        self.look = nn.Sequential(
            *(_halving(before, after) for before, after in _steps(targets + conditions, narrow))
        )
        self.mean = nn.Conv2d(narrow[-1], latent_size, 4)
        self.log_variance = nn.Conv2d(narrow[-1], latent_size, 4)
        self.enter = nn.Sequential(nn.ConvTranspose2d(latent_size, widths[-1], 4), nn.ReLU())
        self.up = nn.ModuleList()
        for level in reversed(range(LEVELS)):
            self.up.append(_doubling(2 * widths[level], widths[max(level - 1, 0)]))
        self.out = nn.Conv2d(widths[0] + conditions, 2 * targets, 3, padding=1)
        nn.init.normal_(self.out.weight, std=0.01)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, targets: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and log-variance of the targets, then of the code; the code is its mean in evaluation."""
        seen = self.look(torch.cat([targets, condition], dim=1))
        code_mean, code_log_variance = self.mean(seen), self.log_variance(seen)
        code = code_mean
        if self.training:
            code = code + torch.randn_like(code) * torch.exp(0.5 * code_log_variance)
        levels = [condition]
        for layer in self.down:
            levels.append(layer(levels[-1]))
        features = self.enter(code)
        for layer in self.up:
            features = layer(torch.cat([features, levels.pop()], dim=1))
        mean, log_variance = self.out(torch.cat([features, condition], dim=1)).chunk(2, dim=1)
        log_variance = log_variance + FIRST_LOG_VARIANCE
        return mean, log_variance.clamp(*LOG_VARIANCE_RANGE), code_mean, code_log_variance


def _steps(first: int, widths: list[int]) -> list[tuple[int, int]]:
    return list(zip([first, *widths[:-1]], widths, strict=True))


def _halving(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU())


def _doubling(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU())
