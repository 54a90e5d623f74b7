"""From slant range to the ground-range sample of a GRD image.

The processor annotates a pair of polynomials about once a second, each for the mean terrain height of its
second; over the Alps neighbouring records differ by up to some 200 m of ground range, so it matters between
which two records a line lies. The stamps of the records are off by a part of a second that differs between
processor versions and modes. It is estimated from the product's own geolocation grid, which holds azimuth
time, slant range and sample of the same points; between records the conversion is linear in time.

Before IPF 2.70 the annotated inverse (`srgrCoefficients`) does not invert the forward polynomial
(`grsrCoefficients`): there the forward one is solved by Newton's method.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), coordinate conversion record; the time shift
is our own finding, shown by the tests on real annotations.
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.sentinel1.annotation import Annotation

Floats = NDArray[np.float64]

FIRST_CONSISTENT_IPF = (2, 70)
SHIFTS_S = np.arange(-500, 501) * 1e-3
"""Candidate shifts of the records' stamps."""
MIN_RECORD_INTERVAL_S = 0.5
"""Records of two slices that lie closer are one record."""


@dataclass(frozen=True)
class GroundRange:
    """Slant range to sample, for one product.

    Attributes:
        times: Shifted stamps of the records in seconds since the image's first line, increasing, shape (n,).
        slant_origin_m: Shape (n,).
        to_ground: Ground range as polynomial of slant range less its origin, constant first, (n, terms).
        ground_origin_m: Shape (n,).
        to_slant: Slant range as polynomial of ground range less its origin, constant first, (n, terms).
        sample_spacing_m: Ground range of one sample.
        solve: Whether to invert `to_slant` instead of using `to_ground`.
        shift_s: What was added to the annotated stamps.
    """

    times: Floats
    slant_origin_m: Floats
    to_ground: Floats
    ground_origin_m: Floats
    to_slant: Floats
    sample_spacing_m: float
    solve: bool
    shift_s: float = 0.0

    @classmethod
    def from_annotation(cls, annotation: Annotation, ipf_version: tuple[int, int]) -> "GroundRange":
        """The conversion whose stamps are shifted so that it reproduces the geolocation grid best.

        Where shifts fit equally well (to 1e-4 sample), as on flat ground, the smallest counts.
        """
        records, image, grid = annotation.conversions, annotation.image, annotation.grid
        order = np.argsort(records.azimuth_time)
        stamped = cls(
            times=_seconds(records.azimuth_time[order] - image.first_line),
            slant_origin_m=records.slant_origin_m[order],
            to_ground=records.to_ground[order],
            ground_origin_m=records.ground_origin_m[order],
            to_slant=records.to_slant[order],
            sample_spacing_m=image.sample_spacing_m,
            solve=ipf_version < FIRST_CONSISTENT_IPF,
        )
        time = _seconds(grid.azimuth_time - image.first_line)

        def misfit(shift: float) -> float:
            residual = stamped.sample(time - shift, grid.slant_range_m) - grid.sample
            return round(float(np.sqrt(np.mean(residual**2))), 4)

        best = float(min(sorted(SHIFTS_S, key=abs), key=misfit))
        return replace(stamped, times=stamped.times + best, shift_s=best)

    def continued(self, later: "GroundRange", delay_s: float) -> "GroundRange":
        """This conversion with the records of the next slice after its own last one.

        Before IPF 2.70 the records end up to a second before the image does.

        Args:
            later: Conversion of the next slice of the data take, of the same processor version.
            delay_s: Its first line's time less this one's.
        """
        times = later.times + delay_s
        after = times > self.times[-1] + MIN_RECORD_INTERVAL_S
        return replace(
            self,
            times=np.concatenate([self.times, times[after]]),
            slant_origin_m=np.concatenate([self.slant_origin_m, later.slant_origin_m[after]]),
            to_ground=np.concatenate([self.to_ground, later.to_ground[after]]),
            ground_origin_m=np.concatenate([self.ground_origin_m, later.ground_origin_m[after]]),
            to_slant=np.concatenate([self.to_slant, later.to_slant[after]]),
        )

    def moved(self, samples: int) -> "GroundRange":
        """The same conversion for an image with so many more samples on its near side."""
        metres = samples * self.sample_spacing_m
        first = np.arange(self.to_ground.shape[1]) == 0
        return replace(
            self, to_ground=self.to_ground + metres * first, ground_origin_m=self.ground_origin_m + metres
        )

    def sample(self, time: Floats, slant_range_m: Floats) -> Floats:
        """Sample (column) of the image; not limited to the image's width.

        Args:
            time: Seconds since the image's first line, any shape.
            slant_range_m: Same shape.
        """
        out = np.empty(time.size)
        _to_sample(
            np.ascontiguousarray(time, np.float64).ravel(),
            np.ascontiguousarray(slant_range_m, np.float64).ravel(),
            self.times,
            self.slant_origin_m,
            self.to_ground,
            self.ground_origin_m,
            self.to_slant,
            self.solve,
            out,
        )
        return out.reshape(time.shape) / self.sample_spacing_m


def _seconds(differences: NDArray[np.timedelta64]) -> Floats:
    return np.asarray(differences.astype("timedelta64[ns]").astype(np.int64) * 1e-9)


@njit(cache=True, nogil=True, error_model="numpy")
def _to_sample(
    time: Floats,
    slant_range: Floats,
    times: Floats,
    slant_origin: Floats,
    to_ground: Floats,
    ground_origin: Floats,
    to_slant: Floats,
    solve: bool,
    out: Floats,
) -> None:
    last = times.size - 1
    for i in range(time.size):
        upper = min(max(np.searchsorted(times, time[i]), 1), last) if last > 0 else 0
        lower = max(upper - 1, 0)
        weight = 0.0
        if upper > lower:
            weight = min(max((time[i] - times[lower]) / (times[upper] - times[lower]), 0.0), 1.0)
        out[i] = 0.0
        for record, share in ((lower, 1.0 - weight), (upper, weight)):
            if share == 0.0:
                continue
            ground = _polynomial(to_ground[record], slant_range[i] - slant_origin[record])
            if solve:
                ground = invert(to_slant[record], slant_range[i], ground) + ground_origin[record]
            out[i] += share * ground


@njit(cache=True, nogil=True, error_model="numpy")
def _polynomial(coefficients: Floats, x: float) -> float:
    value = 0.0
    for power in range(coefficients.size - 1, -1, -1):
        value = value * x + coefficients[power]
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def invert(coefficients: Floats, target: float, start: float) -> float:
    """Newton's method; the start is tens of metres off, so a few steps reach the micrometre."""
    x = start
    for _ in range(5):
        value = slope = 0.0
        for power in range(coefficients.size - 1, -1, -1):
            slope = slope * x + value
            value = value * x + coefficients[power]
        x -= (value - target) / slope
    return x
