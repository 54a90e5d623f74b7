"""Which ground point falls on which line and sample of a ground-range image, and back.

A GRD line is an instant of azimuth time. Along a line, samples are equally spaced on the ground, and one
polynomial each second (a coordinate conversion record) tells ground range as a function of slant range; it
holds on the ellipsoid raised to the terrain height of its second. Between records the conversion changes
linearly with time.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), coordinateConversion and geolocationGrid;
D. Small and A. Schubert, Guide to Sentinel-1 Geocoding (UZH-S1-GC-AD 1.10), sections 2 and 3.
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer

from avalanche_assets.sentinel1.geocoding import WGS84_A, WGS84_E2
from avalanche_assets.sentinel1.orbit import Orbit

Floats = NDArray[np.float64]

LIGHT_SPEED_M_S = 299_792_458.0
POLYNOMIAL_DEGREE = 8
RECORD_STEP_S = 1.0

TRACK_POINTS, TRACK_MARGIN = 400, 10
"""Points along a line that a conversion record is fitted to, and how many of them lie before its start."""

_TO_GEODETIC = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)


@dataclass(frozen=True)
class ConversionRecords:
    """Ground range to slant range and back, one row a record.

    Attributes:
        times: Seconds since the orbit's epoch, increasing, shape (n,).
        terrain_height: Height of the ellipsoid surface of each record in metres, shape (n,).
        slant_start: Slant range ``sr0`` of ground range 0 in metres, shape (n,).
        to_slant: Slant range as powers of ground range in metres, constant first, shape (n, k).
        to_ground: Ground range as powers of slant range minus `slant_start`, shape (n, k).
    """

    times: Floats
    terrain_height: Floats
    slant_start: Floats
    to_slant: Floats
    to_ground: Floats


@dataclass(frozen=True)
class ImageGeometry:
    """Sampling of one acquisition, all slices together as one image.

    Attributes:
        orbit: Path of the platform.
        first_time: Azimuth time of line 0, seconds since ``orbit.epoch``.
        line_interval: Seconds between lines.
        spacing: Ground-range spacing of samples in metres.
        lines: Number of lines of all slices.
        samples: Number of samples of a line.
        slant_start: Slant range of sample 0 in metres.
        records: Ground-range conversion.
    """

    orbit: Orbit
    first_time: float
    line_interval: float
    spacing: float
    lines: int
    samples: int
    slant_start: float
    records: ConversionRecords

    def line_time(self, line: ArrayLike) -> Floats:
        """Azimuth time of lines in seconds since the orbit's epoch."""
        return self.first_time + np.asarray(line, np.float64) * self.line_interval

    def instant(self, line: float) -> np.datetime64:
        """Azimuth time of a line as UTC instant, rounded to the microsecond as annotations are."""
        nanoseconds = round((self.first_time + line * self.line_interval) * 1e6) * 1000
        return np.datetime64(self.orbit.epoch + np.timedelta64(nanoseconds, "ns"))

    def line_sample(self, azimuth_time: Floats, slant_range: Floats) -> tuple[Floats, Floats]:
        """Line and sample, fractional, of zero-Doppler times (s) and slant ranges (m), same shape each."""
        sample = np.empty(azimuth_time.size)
        records = self.records
        _ground_range(
            azimuth_time.ravel(),
            slant_range.ravel(),
            records.times,
            records.slant_start,
            records.to_ground,
            sample,
        )
        line = (azimuth_time - self.first_time) / self.line_interval
        return line, (sample / self.spacing).reshape(azimuth_time.shape)

    def slant_range(self, line: ArrayLike, sample: ArrayLike) -> Floats:
        """Slant range in metres of lines and samples that broadcast."""
        time, ground = np.broadcast_arrays(
            self.line_time(line), np.asarray(sample, np.float64) * self.spacing
        )
        slant = np.empty(time.size)
        _slant_range(time.ravel(), ground.ravel(), self.records.times, self.records.to_slant, slant)
        return slant.reshape(time.shape)

    def locate(self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike) -> Floats:
        """Earth-fixed points imaged at lines and samples, about `height_m` over the ellipsoid; (..., 3)."""
        slant = self.slant_range(line, sample)
        time, slant, height = np.broadcast_arrays(
            self.line_time(line) + 0.0 * slant, slant, np.asarray(height_m, np.float64)
        )
        return locate_range_doppler(self.orbit, time, slant, height)

    def record_height(self, line: ArrayLike) -> Floats:
        """Terrain height that the conversion assumes at lines, in metres."""
        return np.interp(self.line_time(line), self.records.times, self.records.terrain_height)

    def pixel_area(self, lines: Floats, samples: Floats) -> Floats:
        """Ground area in m2 of pixels around each line and sample, on the surface of the conversion.

        Args:
            lines: Shape (n,).
            samples: Shape (m,).

        Returns:
            Shape (n, m).
        """
        line, sample = np.meshgrid(lines, samples, indexing="ij")
        height = self.record_height(line)
        along = self.locate(line + 1.0, sample, height) - self.locate(line - 1.0, sample, height)
        across = self.locate(line, sample + 1.0, height) - self.locate(line, sample - 1.0, height)
        return np.asarray(np.linalg.norm(np.cross(along, across), axis=-1) / 4.0)


def locate_range_doppler(orbit: Orbit, time: Floats, slant_range: Floats, height_m: Floats) -> Floats:
    """Points right of the path at the given times and ranges, on the ellipsoid with axes longer by a height.

    Newton's method on range, Doppler and ellipsoid equation. That ellipsoid is a few centimetres off the
    surface of constant geodetic height; ask `geodetic` for the exact height of a result.

    Returns:
        Earth-fixed metres, shape of the arguments plus (3,).
    """
    position, velocity = orbit.position(time), orbit.velocity(time)
    major = WGS84_A + height_m
    minor = WGS84_A * np.sqrt(1.0 - WGS84_E2) + height_m
    axes = np.stack([major, major, minor], axis=-1)
    up = position / np.linalg.norm(position, axis=-1, keepdims=True)
    right = np.cross(velocity, position)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    # At an off-nadir angle of 33 degrees the first guess is right within some tens of kilometres.
    point = position + slant_range[..., None] * (0.545 * right - 0.839 * up)
    for _ in range(12):
        sight = point - position
        scaled = point / axes
        mismatch = np.stack(
            [
                np.sum(sight * sight, axis=-1) - slant_range**2,
                np.sum(sight * velocity, axis=-1),
                (np.sum(scaled * scaled, axis=-1) - 1.0) * WGS84_A**2,
            ],
            axis=-1,
        )
        jacobian = np.stack([2.0 * sight, velocity, 2.0 * scaled / axes * WGS84_A**2], axis=-2)
        step = np.linalg.solve(jacobian, mismatch[..., None])[..., 0]
        point = point - step
        if np.abs(step).max() < 1e-5:
            break
    return np.asarray(point)


def geodetic(points_ecef: Floats) -> tuple[Floats, Floats, Floats]:
    """Longitude, latitude (degrees) and ellipsoidal height (metres) of points of shape (..., 3)."""
    lon, lat, height = _TO_GEODETIC.transform(points_ecef[..., 0], points_ecef[..., 1], points_ecef[..., 2])
    return np.asarray(lon), np.asarray(lat), np.asarray(height)


def fit_records(
    orbit: Orbit, times: Floats, terrain_height: Floats, slant_start: float, ground_extent: float
) -> ConversionRecords:
    """Conversion records of degree 8, fitted along the ground track of each record's line.

    Args:
        orbit: Path of the platform.
        times: Times of the records, seconds since the orbit's epoch, shape (n,).
        terrain_height: Ellipsoidal height of the terrain at each record in metres, shape (n,).
        slant_start: Slant range of ground range 0 in metres.
        ground_extent: Length of a line in metres; the fit holds a little beyond it.
    """
    to_slant, to_ground = [], []
    # Ground range advances at most by 1 / sin(incidence), about 2.2 times as fast as slant range.
    steps = np.arange(-TRACK_MARGIN, TRACK_POINTS, dtype=np.float64)
    slant = slant_start + steps * (0.85 * ground_extent / TRACK_POINTS)
    for time, height in zip(times, terrain_height, strict=True):
        points = locate_range_doppler(orbit, np.full_like(slant, time), slant, np.full_like(slant, height))
        ground = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1))])
        ground -= ground[TRACK_MARGIN]
        used = ground < 1.02 * ground_extent
        to_slant.append(_power_fit(ground[used], slant[used]))
        to_ground.append(_power_fit(slant[used] - slant_start, ground[used]))
    return ConversionRecords(
        times, terrain_height, np.full(len(times), slant_start), np.array(to_slant), np.array(to_ground)
    )


def crop_records(records: ConversionRecords, first_ground: float) -> ConversionRecords:
    """The same conversion with ground range counted from `first_ground` metres on.

    Both polynomials stay exact: one is shifted in its argument, the other in its value.
    """
    shift = Polynomial([first_ground, 1.0])
    to_slant = np.array([Polynomial(row)(shift).coef for row in records.to_slant])
    to_ground = records.to_ground.copy()
    to_ground[:, 0] -= first_ground
    return replace(records, to_slant=to_slant, to_ground=to_ground)


def _power_fit(x: Floats, y: Floats) -> Floats:
    """Coefficients of the polynomial through (x, y), constant first."""
    fitted = Polynomial.fit(x, y, POLYNOMIAL_DEGREE).convert().coef
    return np.pad(fitted, (0, POLYNOMIAL_DEGREE + 1 - len(fitted)))


@njit(cache=True, nogil=True)
def _weights(time: float, times: Floats) -> tuple[int, float]:
    """Record before `time` and weight of the next one; the ends extrapolate as constants."""
    index = min(max(int(np.searchsorted(times, time)) - 1, 0), len(times) - 2)
    share = (time - times[index]) / (times[index + 1] - times[index])
    return index, min(max(share, 0.0), 1.0)


@njit(cache=True, nogil=True)
def _evaluate(coefficients: Floats, x: float) -> float:
    total = 0.0
    for power in range(len(coefficients) - 1, -1, -1):
        total = total * x + coefficients[power]
    return total


@njit(cache=True, nogil=True)
def _ground_range(
    time: Floats, slant: Floats, times: Floats, slant_start: Floats, to_ground: Floats, out: Floats
) -> None:
    for i in range(time.size):
        index, share = _weights(time[i], times)
        before = _evaluate(to_ground[index], slant[i] - slant_start[index])
        after = _evaluate(to_ground[index + 1], slant[i] - slant_start[index + 1])
        out[i] = (1.0 - share) * before + share * after


@njit(cache=True, nogil=True)
def _slant_range(time: Floats, ground: Floats, times: Floats, to_slant: Floats, out: Floats) -> None:
    for i in range(time.size):
        index, share = _weights(time[i], times)
        before = _evaluate(to_slant[index], ground[i])
        after = _evaluate(to_slant[index + 1], ground[i])
        out[i] = (1.0 - share) * before + share * after
