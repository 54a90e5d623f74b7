"""The product annotation: timing, orbit, geolocation grid and ground-range conversion of one image.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), Level-1 product annotation data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.xml_fields import MAX_PIXELS, XmlNode

Floats = NDArray[np.float64]
Instants = NDArray[np.datetime64]

SPEED_OF_LIGHT = 299792458.0
"""Metres per second."""
MAX_TERMS = 20
"""More coefficients than any polynomial of the annotation has."""
ORBIT_RADIUS_M = (6.9e6, 7.3e6)
"""Distance of the platform from the Earth's centre: it flies about 700 km high."""
ORBIT_SPEED = (7.0e3, 8.0e3)
"""Metres per second over the turning Earth."""


@dataclass(frozen=True)
class ImageInformation:
    """Size and timing of the image.

    Attributes:
        first_line: Zero-Doppler time (UTC) of line 0.
        line_interval_s: Azimuth time between lines.
        sample_spacing_m: Ground-range distance between samples.
        lines: Rows.
        samples: Columns.
    """

    first_line: np.datetime64
    line_interval_s: float
    sample_spacing_m: float
    lines: int
    samples: int

    @property
    def last_line(self) -> np.datetime64:
        """Zero-Doppler time (UTC) of the last line."""
        return self.first_line + np.timedelta64(round((self.lines - 1) * self.line_interval_s * 1e9), "ns")


@dataclass(frozen=True)
class GeolocationGrid:
    """Points of the image whose ground coordinates the processor annotated; every array has shape (n,).

    Attributes:
        azimuth_time: Zero-Doppler time, UTC.
        slant_range_m: One-way slant range.
        line: Row of the image.
        sample: Column of the image.
        lon_deg: Longitude.
        lat_deg: Latitude.
        height_m: Height over the ellipsoid.
        incidence_deg: Ellipsoid incidence angle.
    """

    azimuth_time: Instants
    slant_range_m: Floats
    line: Floats
    sample: Floats
    lon_deg: Floats
    lat_deg: Floats
    height_m: Floats
    incidence_deg: Floats


@dataclass(frozen=True)
class CoordinateConversions:
    """Polynomials between slant range and ground range, one pair a record, sorted by time.

    Attributes:
        azimuth_time: Stamp of the record, UTC, shape (n,).
        slant_origin_m: Slant range at which `to_ground` has its origin, shape (n,).
        to_ground: ``srgrCoefficients``: ground range from slant range, constant first, shape (n, terms).
        ground_origin_m: Ground range at which `to_slant` has its origin, shape (n,).
        to_slant: ``grsrCoefficients``: slant range from ground range, constant first, shape (n, terms).
    """

    azimuth_time: Instants
    slant_origin_m: Floats
    to_ground: Floats
    ground_origin_m: Floats
    to_slant: Floats


@dataclass(frozen=True)
class Annotation:
    """What one product annotation says.

    Attributes:
        polarisation: ``VV`` or ``VH``.
        absolute_orbit: Absolute orbit number.
        datatake_id: Mission data take.
        stop: Zero-Doppler time of the last line, UTC.
        orbit: State vectors; the epoch is the first one's time.
        orbit_source: What the processor took them from: ``Downlink`` (measured on board), ``Auxiliary`` (an
            orbit file); empty where the annotation does not say.
        image: Size and timing.
        grid: Geolocation grid.
        conversions: Ground-range polynomials.
    """

    polarisation: str
    absolute_orbit: int
    datatake_id: int
    stop: np.datetime64
    orbit: Orbit
    orbit_source: str
    image: ImageInformation
    grid: GeolocationGrid
    conversions: CoordinateConversions


def parse_annotation(content: bytes, file: str) -> Annotation:
    """Reads a product annotation.

    Args:
        content: The XML file's bytes.
        file: Its name, for messages.

    Raises:
        SafeError: A field is missing, malformed or cannot be true, or the orbit does not cover the image.
    """
    root = XmlNode.parse(content, file)
    header = root.node("adsHeader")
    image = _image_information(root.node("imageAnnotation/imageInformation"))
    orbit = _orbit(root)
    if not orbit.covers(image.first_line, image.last_line):
        raise SafeError(
            f"{file}: the state vectors of orbitList do not cover the image's lines ({image.first_line} to "
            f"{image.last_line}); download the product again"
        )
    return Annotation(
        polarisation=header.text("polarisation"),
        absolute_orbit=header.integer("absoluteOrbitNumber"),
        datatake_id=header.integer("missionDataTakeId"),
        stop=root.time("imageAnnotation/imageInformation/productLastLineUtcTime"),
        orbit=orbit,
        orbit_source=next(iter(root.texts("imageAnnotation/processingInformation/orbitSource")), ""),
        image=image,
        grid=_geolocation_grid(root),
        conversions=_conversions(root),
    )


def _image_information(image: XmlNode) -> ImageInformation:
    return ImageInformation(
        first_line=image.time("productFirstLineUtcTime"),
        line_interval_s=image.number("azimuthTimeInterval", 1e-5, 1e-1),
        sample_spacing_m=image.number("rangePixelSpacing", 0.1, 1e3),
        lines=image.integer("numberOfLines", 1, MAX_PIXELS),
        samples=image.integer("numberOfSamples", 1, MAX_PIXELS),
    )


def _orbit(root: XmlNode) -> Orbit:
    states = root.nodes("generalAnnotation/orbitList/orbit")
    if len(states) < 4:
        raise SafeError(
            f"{root.file}: orbitList has {len(states)} state vectors, at least 4 are needed; "
            "download the product again"
        )
    times = _increasing([state.time("time") for state in states], "orbitList", root.file)
    positions = np.array(
        [[state.number(f"position/{axis}", -1e7, 1e7) for axis in "xyz"] for state in states]
    )
    seconds = (times - times[0]).astype(np.int64) * 1e-9
    radius = np.linalg.norm(positions, axis=1)
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=1) / np.diff(seconds)
    for values, (low, high) in ((radius, ORBIT_RADIUS_M), (speed, ORBIT_SPEED)):
        if not ((values > low) & (values < high)).all():
            raise SafeError(
                f"{root.file}: orbitList holds positions {radius.min():.4g} to {radius.max():.4g} m from the "
                f"Earth's centre at {speed.min():.4g} to {speed.max():.4g} m/s, which is not the orbit of "
                "Sentinel-1; download the product again"
            )
    return Orbit(times[0], seconds, positions)


def _increasing(times: Sequence[np.datetime64], name: str, file: str) -> Instants:
    stamps = np.array(times)
    if not (np.diff(stamps) > np.timedelta64(0)).all():
        raise SafeError(f"{file}: times of {name} do not increase; download the product again")
    return stamps


def _geolocation_grid(root: XmlNode) -> GeolocationGrid:
    points = root.nodes("geolocationGridPointList/geolocationGridPoint")
    if not points:
        raise SafeError(f"{root.file}: geolocationGrid has no points; download the product again")

    def column(name: str, low: float, high: float) -> Floats:
        return np.array([point.number(name, low, high) for point in points])

    return GeolocationGrid(
        azimuth_time=np.array([point.time("azimuthTime") for point in points]),
        slant_range_m=column("slantRangeTime", 1e-3, 1e-1) * SPEED_OF_LIGHT / 2,
        line=column("line", -MAX_PIXELS, MAX_PIXELS),
        sample=column("pixel", -MAX_PIXELS, MAX_PIXELS),
        lon_deg=column("longitude", -180, 180),
        lat_deg=column("latitude", -90, 90),
        height_m=column("height", -1e3, 1e4),
        incidence_deg=column("incidenceAngle", 0, 90),
    )


def _conversions(root: XmlNode) -> CoordinateConversions:
    records = root.nodes("coordinateConversionList/coordinateConversion")
    if not records:
        raise SafeError(
            f"{root.file}: coordinateConversion has no records; the product must be ground range (GRD)"
        )
    return CoordinateConversions(
        azimuth_time=_increasing(
            [record.time("azimuthTime") for record in records], "coordinateConversionList", root.file
        ),
        slant_origin_m=np.array([record.number("sr0", 0, 1e7) for record in records]),
        to_ground=_polynomials(records, "srgrCoefficients"),
        ground_origin_m=np.array([record.number("gr0", -1e7, 1e7) for record in records]),
        to_slant=_polynomials(records, "grsrCoefficients"),
    )


def _polynomials(records: Sequence[XmlNode], name: str) -> Floats:
    """Polynomials of differing length as rows, filled up with zeros."""
    polynomials = [record.numbers(name) for record in records]
    terms = max(2, *(len(polynomial) for polynomial in polynomials))
    if terms > MAX_TERMS:
        raise SafeError(f"{records[0].file}: {name} has {terms} terms; download the product again")
    rows = np.stack([np.pad(polynomial, (0, terms - len(polynomial))) for polynomial in polynomials])
    if not (rows[:, 1] > 0).all():
        raise SafeError(f"{records[0].file}: {name} does not increase with range; download the product again")
    return rows
