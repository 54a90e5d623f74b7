"""A synthetic Sentinel-1 orbit, turned so that it images a given place as a given pass does.

A circular orbit of the mission's radius and inclination is enough: within one scene it bends and turns like
the real one. Ascending node and phase are solved so that the scene centre is imaged at the overpass time at
the wanted incidence. Real passes repeat within a tube of about 100 m, hence a small offset each date. The
annotations know the orbit to some decimetres only, as real ones made from on-board navigation do.

Source: Sentinel-1 mission orbit (semi-major axis 7,071 km, inclination 98.18 deg, 175 orbits in 12 days);
orbital tube of 100 m (rms): Sentinel-1 Product Specification; zero-Doppler condition as in
`avalanche_assets.sentinel1.geocoding`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fsolve

from avalanche_assets.sentinel1.geocoding import ellipsoid_normal, geodetic_to_ecef
from avalanche_assets.sentinel1.orbit import Orbit

Floats = NDArray[np.float64]

SEMI_MAJOR_AXIS_M = 7_071_000.0
INCLINATION_DEG = 98.18
GRAVITY_M3_S2 = 3.986004418e14
EARTH_ROTATION_RAD_S = 7.2921151467e-5

STATE_VECTORS = 20
STATE_VECTOR_STEP_S = 10.0
TUBE_M = 35.0
"""Standard deviation of the offset from the nominal orbit in each of two directions."""
ANNOTATION_ERROR_M = 0.2
"""Standard deviation of the annotated orbit's error in each of three directions."""


@dataclass(frozen=True)
class NominalPass:
    """Where the platform is around the overpass of the scene centre.

    Attributes:
        times: Seconds since the overpass, shape (n,).
        positions: Earth-fixed metres, shape (n, 3).
    """

    times: Floats
    positions: Floats

    def orbit(self, overpass: np.datetime64, offset_m: tuple[float, float] = (0.0, 0.0)) -> Orbit:
        """The orbit that is flown on one date, positions to the millimetre.

        Args:
            overpass: Instant of time 0, UTC.
            offset_m: Displacement upwards and to the right of the flight direction in metres.
        """
        nominal = Orbit(overpass, self.times, self.positions)
        return _moved(nominal, 0.0, offset_m[1], offset_m[0])


def solve_pass(
    lon_deg: float, lat_deg: float, height_m: float, incidence_deg: float, descending: bool = True
) -> NominalPass:
    """The pass of a right-looking platform that images a point at time 0 at the wanted incidence.

    Args:
        lon_deg: Longitude of the point in degrees.
        lat_deg: Geodetic latitude of the point, within 75 degrees of the equator.
        height_m: Ellipsoidal height of the point in metres.
        incidence_deg: Angle between the line of sight and the ellipsoid normal at the point.
        descending: Flight direction, southwards when true.
    """
    target = geodetic_to_ecef(lon_deg, lat_deg, height_m)
    normal = ellipsoid_normal(lon_deg, lat_deg)

    def residuals(unknowns: Floats) -> list[float]:
        node, argument = unknowns
        position = _position(np.zeros(1), node, argument)[0]
        step = 1e-3
        ahead, behind = _position(np.array([step, -step]), node, argument)
        sight = position - target
        doppler = sight @ (ahead - behind) / (2.0 * step)
        cosine = sight @ normal / np.linalg.norm(sight)
        return [doppler / 1e6, float(np.degrees(np.arccos(cosine))) - incidence_deg]

    node, argument = fsolve(residuals, _first_guess(lon_deg, lat_deg, descending), xtol=1e-10)
    # An even number of state vectors at whole seconds, the overpass between the two middle ones.
    times = STATE_VECTOR_STEP_S * (np.arange(STATE_VECTORS, dtype=np.float64) - (STATE_VECTORS - 1) / 2)
    return NominalPass(times, _position(times, node, argument))


def tube_offset(random: np.random.Generator) -> tuple[float, float]:
    """One date's displacement from the nominal orbit, metres upwards and to the right, inside the tube."""
    radial, across = np.clip(random.normal(0.0, TUBE_M, 2), -70.0, 70.0)
    return float(radial), float(across)


def annotated_orbit(orbit: Orbit, random: np.random.Generator) -> Orbit:
    """An orbit as the annotation of its products knows it: off by some decimetres in every direction."""
    along, right, up = random.normal(0.0, ANNOTATION_ERROR_M, 3)
    return _moved(orbit, float(along), float(right), float(up))


def _moved(orbit: Orbit, along_m: float, right_m: float, up_m: float) -> Orbit:
    """An orbit displaced by constant distances, positions to the millimetre."""
    velocities = orbit.velocity(orbit.times)
    up = _unit(orbit.positions)
    right = _unit(np.cross(velocities, orbit.positions))
    moved = orbit.positions + along_m * _unit(velocities) + right_m * right + up_m * up
    return Orbit(orbit.epoch, orbit.times, np.round(moved, 3))


def _position(times: Floats, node: float, argument: float) -> Floats:
    """Earth-fixed positions; `node` is the longitude of the ascending node at time 0, angles in radians."""
    inclination = np.radians(INCLINATION_DEG)
    phase = argument + times * np.sqrt(GRAVITY_M3_S2 / SEMI_MAJOR_AXIS_M**3)
    longitude = node - EARTH_ROTATION_RAD_S * times
    along, across = np.cos(phase), np.sin(phase) * np.cos(inclination)
    return SEMI_MAJOR_AXIS_M * np.stack(
        [
            along * np.cos(longitude) - across * np.sin(longitude),
            along * np.sin(longitude) + across * np.cos(longitude),
            np.sin(phase) * np.sin(inclination),
        ],
        axis=-1,
    )


def _first_guess(lon_deg: float, lat_deg: float, descending: bool) -> tuple[float, float]:
    """Node and argument of latitude of a satellite some 600 km to the left of the point's view."""
    inclination = np.radians(INCLINATION_DEG)
    east = 600e3 if descending else -600e3
    lon = np.radians(lon_deg) + east / (6.371e6 * np.cos(np.radians(lat_deg)))
    ascending_argument = np.arcsin(np.sin(np.radians(lat_deg)) / np.sin(inclination))
    argument = np.pi - ascending_argument if descending else ascending_argument
    node = lon - np.arctan2(np.sin(argument) * np.cos(inclination), np.cos(argument))
    return float(node), float(argument)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
