"""Hand-made features of a patch for detectors that learn from labels.

After the features of Hamar et al. 2016 (statistics of the change inside the outline of a path), extended by
what a person looks at: bright spots of the size of a deposit near the deposit point, in both polarisations,
how the rest of the patch moved, and how the radar sees the slope. A value that cannot be measured is 0 dB:
no change.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.detectors.base import SCORING_BATCH
from avalanche_assets.detectors.change_threshold import ZONE_RADIUS_PX, highest_connected_level
from avalanche_assets.detectors.local_contrast import common_contrast, contrast, top_mean
from avalanche_assets.detectors.locality import centre_disc, over_median, smooth, strongest
from avalanche_assets.patches.batches import PatchBatch, PatchSource

Images = NDArray[np.float32]
Features = NDArray[np.float32]

CHANNELS = (
    *("vv_star", "vv_star_old", "vh_star", "vh_star_old"),
    *("slope", "local_incidence", "visible"),
)
LEVEL_PIXELS = (5, 20)


def features_of(batch: PatchBatch) -> dict[str, Features]:
    """Features of n patches by name, each (n,): dB, degrees or shares."""
    return {
        name: np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        for name, values in _measured(batch)
    }


def feature_table(samples: PatchSource, seed: int | None = None) -> Features:
    """Features (N, features) of all samples, in their order."""
    table: Features | None = None
    for batch in samples.stream(CHANNELS, SCORING_BATCH, seed):
        columns = matrix(batch)
        table = np.empty((len(samples), columns.shape[1]), np.float32) if table is None else table
        table[batch.rows] = columns
    return np.empty((0, 0), np.float32) if table is None else table


def matrix(batch: PatchBatch) -> Features:
    """Features (n, features) in a fixed order."""
    return np.stack(list(features_of(batch).values()), axis=1)


def _measured(batch: PatchBatch) -> Iterator[tuple[str, NDArray[np.floating]]]:
    zone = centre_disc(ZONE_RADIUS_PX)
    for polarisation in ("vv", "vh"):
        change, star = batch[f"d{polarisation}"], batch[f"{polarisation}_star"]
        smoothed, rise = smooth(change), contrast(change)
        yield f"{polarisation}: change, median", _median(change)
        yield f"{polarisation}: change in the zone, mean", _mean(change[:, zone])
        yield f"{polarisation}: change in the zone, deviation", _deviation(change[:, zone])
        yield f"{polarisation}: change in the zone, share over 4 dB", _mean(smoothed[:, zone] > 4.0)
        yield f"{polarisation}: change, brightest spot", strongest(smoothed)
        yield f"{polarisation}: change over the median, brightest spot", strongest(over_median(smoothed))
        yield f"{polarisation}: change, darkest spot", -strongest(-smoothed)
        yield f"{polarisation}: contrast of the change", top_mean(rise)
        yield f"{polarisation}: contrast of the star", top_mean(contrast(star))
        yield f"{polarisation}: contrast common to both", top_mean(common_contrast(batch, polarisation))
        yield f"{polarisation}: star in the zone, mean", _mean(star[:, zone])
        yield f"{polarisation}: star, median", _median(star)
        yield f"{polarisation}: old star in the zone, mean", _mean(batch[f"{polarisation}_star_old"][:, zone])
        for pixels in LEVEL_PIXELS:
            level = highest_connected_level(smoothed, zone, pixels)
            yield f"{polarisation}: change that {pixels} connected pixels reach", level
    both = np.minimum(common_contrast(batch, "vv"), common_contrast(batch, "vh"))
    yield "contrast common to both polarisations", top_mean(both)
    mean = 0.5 * (smooth(batch["dvv"]) + smooth(batch["dvh"]))
    yield "mean of both changes, brightest spot", strongest(over_median(mean))
    for name in ("slope", "local_incidence", "visible"):
        yield f"{name} in the zone", _mean(batch[name][:, zone])
        yield f"{name} around the deposit point", _mean(batch[name][:, centre_disc(5)])


def _mean(values: NDArray[np.generic]) -> NDArray[np.float32]:
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=1, dtype=np.float32)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1), np.float32)


def _deviation(values: Images) -> NDArray[np.float32]:
    return np.asarray(np.sqrt(np.maximum(_mean(values**2) - _mean(values) ** 2, 0)), np.float32)


def _median(images: Images) -> NDArray[np.float32]:
    result = np.full(len(images), np.nan, np.float32)
    known = np.isfinite(images).any(axis=(1, 2))
    result[known] = np.nanmedian(images[known], axis=(1, 2))
    return result
