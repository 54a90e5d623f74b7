"""Backward geocoding: where, in azimuth time and slant range, a point on the ground was imaged.

A GRD image is focused to zero Doppler: a point P is imaged at the time t at which the line of sight is at
right angles to the velocity, (P - S(t)) . V(t) = 0, at the range |P - S(t)|. Newton's method solves it for
each point.

Source: D. Small and A. Schubert, Guide to Sentinel-1 Geocoding (UZH-S1-GC-AD); J. Curlander,
"Location of spaceborne SAR imagery", IEEE TGRS 20(3), 1982.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from avalanche_assets.sentinel1.orbit import EXTRAPOLATION_S, Orbit

Floats = NDArray[np.float64]

WGS84_A = 6378137.0
"""Semi-major axis of the WGS84 ellipsoid in metres."""
WGS84_E2 = 0.0066943799901413165
"""First eccentricity squared of the WGS84 ellipsoid."""


def geodetic_to_ecef(lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike) -> Floats:
    """Earth-fixed Cartesian coordinates of points over the WGS84 ellipsoid.

    Args:
        lon_deg: Longitude in degrees; the three arguments broadcast.
        lat_deg: Geodetic latitude in degrees.
        height_m: Height over the ellipsoid in metres.

    Returns:
        Metres, shape of the arguments plus (3,).
    """
    lon, lat, height = np.broadcast_arrays(
        np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64), np.asarray(height_m, np.float64)
    )
    points = np.empty((lon.size, 3))
    _geodetic_to_ecef(lon.ravel(), lat.ravel(), height.ravel(), points)
    return points.reshape(*lon.shape, 3)


def ellipsoid_normal(lon_deg: ArrayLike, lat_deg: ArrayLike) -> Floats:
    """Outward unit normal of the ellipsoid, shape of the arguments plus (3,)."""
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0 * lon], axis=-1)


def zero_doppler(orbit: Orbit, points_ecef: Floats) -> tuple[Floats, Floats]:
    """Azimuth time and slant range at which a right-looking radar images points.

    Args:
        orbit: Path of the platform.
        points_ecef: Earth-fixed metres, shape (..., 3).

    Returns:
        Seconds since ``orbit.epoch`` (accurate to better than 1e-9 s) and metres, each of shape (...). NaN
        where the point is NaN, lies left of the path, or was passed more than `EXTRAPOLATION_S` outside the
        orbit's span.
    """
    points = np.ascontiguousarray(points_ecef, np.float64)
    flat = points.reshape(-1, 3)
    scaled, slant_range = np.empty(len(flat)), np.empty(len(flat))
    limit = 1.0 + EXTRAPOLATION_S / orbit.scale
    _zero_doppler(orbit.coefficients, flat, limit, 1e-8 / orbit.scale, scaled, slant_range)
    shape = points.shape[:-1]
    return (orbit.centre + orbit.scale * scaled).reshape(shape), slant_range.reshape(shape)


def incidence_deg(orbit: Orbit, azimuth_time: Floats, points_ecef: Floats, normals: Floats) -> Floats:
    """Angle in degrees between the direction to the platform and a unit normal at each point.

    With `ellipsoid_normal` it is the incidence of the annotation, with the surface normal the local
    incidence. Shapes (...), (..., 3) and (..., 3).
    """
    sight = orbit.position(azimuth_time) - points_ecef
    cosine = np.sum(sight * normals, axis=-1) / np.linalg.norm(sight, axis=-1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@njit(cache=True, nogil=True)
def _geodetic_to_ecef(lon: Floats, lat: Floats, height: Floats, out: Floats) -> None:
    for i in range(lon.size):
        sin_lat, cos_lat = math.sin(math.radians(lat[i])), math.cos(math.radians(lat[i]))
        prime = WGS84_A / math.sqrt(1.0 - WGS84_E2 * sin_lat * sin_lat)
        out[i, 0] = (prime + height[i]) * cos_lat * math.cos(math.radians(lon[i]))
        out[i, 1] = (prime + height[i]) * cos_lat * math.sin(math.radians(lon[i]))
        out[i, 2] = (prime * (1.0 - WGS84_E2) + height[i]) * sin_lat


@njit(cache=True, nogil=True, error_model="numpy")
def _zero_doppler(
    coefficients: Floats, points: Floats, limit: float, tolerance: float, time: Floats, slant_range: Floats
) -> None:
    """Newton's method in scaled time; near the root the error after a step is quadratic in the step."""
    degree, start = coefficients.shape[0] - 1, 0.0
    for i in range(points.shape[0]):
        time[i] = slant_range[i] = math.nan
        if math.isnan(points[i, 0] + points[i, 1] + points[i, 2]):
            continue
        t, step = start, 1.0
        for _ in range(30):
            doppler = slope = 0.0
            for axis in range(3):
                position, velocity, acceleration = coefficients[degree, axis], 0.0, 0.0
                for power in range(degree - 1, -1, -1):
                    acceleration = acceleration * t + velocity
                    velocity = velocity * t + position
                    position = position * t + coefficients[power, axis]
                sight = points[i, axis] - position
                doppler += sight * velocity
                slope += sight * 2.0 * acceleration - velocity * velocity
            step = -doppler / slope
            # A step beyond the limit ends on it, and a second one there gives up: the start, which is the
            # previous point's solution, must not matter.
            if not abs(t + step) < limit:
                if abs(t) == limit:
                    break
                t = math.copysign(limit, t + step)
                continue
            t += step
            if abs(step) < tolerance:
                break
        if abs(step) < tolerance and abs(t) < limit:
            distance = _right_looking_range(coefficients, points[i], t)
            if distance > 0.0:
                time[i], slant_range[i] = t, distance
                start = t  # the next point is usually near


@njit(cache=True, nogil=True, inline="always")
def _right_looking_range(coefficients: Floats, point: Floats, t: float) -> float:
    """Distance at scaled time `t`; negative when the point lies left of the path."""
    degree = coefficients.shape[0] - 1
    position, velocity = np.empty(3), np.empty(3)
    for axis in range(3):
        p, v = coefficients[degree, axis], 0.0
        for power in range(degree - 1, -1, -1):
            v = v * t + p
            p = p * t + coefficients[power, axis]
        position[axis], velocity[axis] = p, v
    x, y, z = point[0] - position[0], point[1] - position[1], point[2] - position[2]
    leftward = (
        x * (position[1] * velocity[2] - position[2] * velocity[1])
        + y * (position[2] * velocity[0] - position[0] * velocity[2])
        + z * (position[0] * velocity[1] - position[1] * velocity[0])
    )
    distance = math.sqrt(x * x + y * y + z * z)
    return -distance if leftward > 0.0 else distance
