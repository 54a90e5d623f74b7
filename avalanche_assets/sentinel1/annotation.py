"""The product annotation: timing, orbit, geolocation grid and ground-range conversion of one image.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), Level-1 product annotation data set.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.xml_fields import XmlNode

Floats = NDArray[np.float64]
Instants = NDArray[np.datetime64]

SPEED_OF_LIGHT = 299792458.0
"""Metres per second."""


@dataclass(frozen=True)
class ImageInformation:
    """Size and timing of the image.

    Attributes:
        first_line: Zero-Doppler time (UTC) of line 0.
        line_interval_s: Azimuth time between lines.
        near_range_time_s: Two-way slant-range time of sample 0.
        sample_spacing_m: Ground-range distance between samples.
        lines: Rows.
        samples: Columns.
    """

    first_line: np.datetime64
    line_interval_s: float
    near_range_time_s: float
    sample_spacing_m: float
    lines: int
    samples: int


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
        start: Zero-Doppler time of the first line, UTC.
        stop: Zero-Doppler time of the last line, UTC.
        orbit: State vectors; the epoch is the first one's time.
        image: Size and timing.
        grid: Geolocation grid.
        conversions: Ground-range polynomials.
    """

    polarisation: str
    absolute_orbit: int
    datatake_id: int
    start: np.datetime64
    stop: np.datetime64
    orbit: Orbit
    image: ImageInformation
    grid: GeolocationGrid
    conversions: CoordinateConversions


def parse_annotation(content: bytes, file: str) -> Annotation:
    """Reads a product annotation.

    Args:
        content: The XML file's bytes.
        file: Its name, for messages.

    Raises:
        SafeError: A field is missing or malformed.
    """
    root = XmlNode.parse(content, file)
    header = root.node("adsHeader")
    image = root.node("imageAnnotation/imageInformation")
    return Annotation(
        polarisation=header.text("polarisation"),
        absolute_orbit=header.integer("absoluteOrbitNumber"),
        datatake_id=header.integer("missionDataTakeId"),
        start=image.time("productFirstLineUtcTime"),
        stop=image.time("productLastLineUtcTime"),
        orbit=_orbit(root),
        image=ImageInformation(
            first_line=image.time("productFirstLineUtcTime"),
            line_interval_s=image.number("azimuthTimeInterval"),
            near_range_time_s=image.number("slantRangeTime"),
            sample_spacing_m=image.number("rangePixelSpacing"),
            lines=image.integer("numberOfLines"),
            samples=image.integer("numberOfSamples"),
        ),
        grid=_geolocation_grid(root),
        conversions=_conversions(root),
    )


def _orbit(root: XmlNode) -> Orbit:
    states = root.nodes("generalAnnotation/orbitList/orbit")
    if len(states) < 4:
        raise SafeError(
            f"{root.file}: orbitList has {len(states)} state vectors, at least 4 are needed; "
            "download the product again"
        )
    times = np.array([state.time("time") for state in states])
    positions = np.array([[state.number(f"position/{axis}") for axis in "xyz"] for state in states])
    return Orbit(times[0], (times - times[0]).astype(np.int64) * 1e-9, positions)


def _geolocation_grid(root: XmlNode) -> GeolocationGrid:
    points = root.nodes("geolocationGridPointList/geolocationGridPoint")
    if not points:
        raise SafeError(f"{root.file}: geolocationGrid has no points; download the product again")

    def column(name: str) -> Floats:
        return np.array([point.number(name) for point in points])

    return GeolocationGrid(
        azimuth_time=np.array([point.time("azimuthTime") for point in points]),
        slant_range_m=column("slantRangeTime") * SPEED_OF_LIGHT / 2,
        line=column("line"),
        sample=column("pixel"),
        lon_deg=column("longitude"),
        lat_deg=column("latitude"),
        height_m=column("height"),
        incidence_deg=column("incidenceAngle"),
    )


def _conversions(root: XmlNode) -> CoordinateConversions:
    records = root.nodes("coordinateConversionList/coordinateConversion")
    if not records:
        raise SafeError(
            f"{root.file}: coordinateConversion has no records; the product must be ground range (GRD)"
        )
    return CoordinateConversions(
        azimuth_time=np.array([record.time("azimuthTime") for record in records]),
        slant_origin_m=np.array([record.number("sr0") for record in records]),
        to_ground=_stacked([record.numbers("srgrCoefficients") for record in records]),
        ground_origin_m=np.array([record.number("gr0") for record in records]),
        to_slant=_stacked([record.numbers("grsrCoefficients") for record in records]),
    )


def _stacked(polynomials: list[Floats]) -> Floats:
    """Polynomials of differing length as rows, filled up with zeros."""
    terms = max(len(polynomial) for polynomial in polynomials)
    return np.stack([np.pad(polynomial, (0, terms - len(polynomial))) for polynomial in polynomials])
