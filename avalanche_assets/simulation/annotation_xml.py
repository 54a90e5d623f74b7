"""The XML files of a product: annotation, calibration and noise in both formats.

They hold what geocoding, calibration and denoising need, in the standard's order; lists about the raw data
and the antenna, which a simulation has not, stay empty.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), sections on the Level-1 product annotation,
calibration and noise data sets.
"""

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.simulation.image_geometry import LIGHT_SPEED_M_S
from avalanche_assets.simulation.radiometry import POLARISATIONS, SubSwath
from avalanche_assets.simulation.slices import Slice, utc
from avalanche_assets.simulation.xml_text import HEADER, counted, exact, node, vector

Floats = NDArray[np.float64]

RADAR_FREQUENCY_HZ = 5.405000454334350e9
SAMPLING_RATE_HZ = 6.434523812571428e7


def product_xml(item: Slice, polarisation: str) -> str:
    """The product annotation of one polarisation."""
    return HEADER + node(
        "product",
        _header(item, polarisation),
        _general_annotation(item),
        _image_annotation(item),
        node("dopplerCentroid", counted("dcEstimateList", [])),
        node("antennaPattern", counted("antennaPatternList", [])),
        node(
            "swathTiming",
            node("linesPerBurst", 0),
            node("samplesPerBurst", 0),
            counted("burstList", []),
        ),
        node("geolocationGrid", counted("geolocationGridPointList", _tie_points(item))),
        node("coordinateConversion", counted("coordinateConversionList", _conversions(item))),
        node("swathMerging", counted("swathMergeList", _swath_bounds(item))),
    )


def calibration_xml(item: Slice, polarisation: str) -> str:
    """The calibration look-up tables of one polarisation."""
    tables = item.radiometry
    vectors = []
    for index, line in enumerate(tables.lines):
        values = [vector(name, table[index]) for name, table in tables.amplitude.items()]
        values.append(vector("dn", tables.amplitude["betaNought"][index]))
        vectors.append(node("calibrationVector", *_vector_head(item, line), *values))
    return HEADER + node(
        "calibration",
        _header(item, polarisation),
        node("calibrationInformation", node("absoluteCalibrationConstant", "1.000000e+00")),
        counted("calibrationVectorList", vectors),
    )


def noise_xml(item: Slice, polarisation: str) -> str:
    """The thermal noise of one polarisation, in the format of the slice's processor version."""
    tables = item.radiometry
    noise = tables.noise[POLARISATIONS.index(polarisation)]
    element, lut = ("noiseVector", "noiseLut")
    if not tables.old_format:
        element, lut = ("noiseRangeVector", "noiseRangeLut")
    vectors = [
        node(element, *_vector_head(item, line), vector(lut, noise[index]))
        for index, line in enumerate(tables.lines)
        if line < item.lines or not tables.old_format
    ]
    lists = [counted(f"{element}List", vectors)]
    if not tables.old_format:
        blocks = [_azimuth_vector(item, block) for block in tables.swaths]
        lists.append(counted("noiseAzimuthVectorList", blocks))
    return HEADER + node("noise", _header(item, polarisation), *lists)


def _header(item: Slice, polarisation: str) -> str:
    return node(
        "adsHeader",
        node("missionId", item.platform),
        node("productType", "GRD"),
        node("polarisation", polarisation),
        node("mode", "IW"),
        node("swath", "IW"),
        node("startTime", utc(item.start)),
        node("stopTime", utc(item.stop)),
        node("absoluteOrbitNumber", item.absolute_orbit),
        node("missionDataTakeId", item.datatake_id),
        node("imageNumber", f"{POLARISATIONS.index(polarisation) + 1:03d}"),
    )


def _general_annotation(item: Slice) -> str:
    geometry = item.geometry
    orbit = item.annotated or geometry.orbit
    heights = [
        node("terrainHeight", node("azimuthTime", _instant(item, time)), node("value", exact(height)))
        for time, height in zip(geometry.records.times, geometry.records.terrain_height, strict=True)
    ]
    states = []
    for time, position, velocity in zip(
        orbit.times, orbit.positions, orbit.velocity(orbit.times), strict=True
    ):
        states.append(
            node(
                "orbit",
                node("time", _instant(item, time)),
                node("frame", "Earth Fixed"),
                node("position", *(node(axis, exact(v)) for axis, v in zip("xyz", position, strict=True))),
                node("velocity", *(node(axis, exact(v)) for axis, v in zip("xyz", velocity, strict=True))),
            )
        )
    return node(
        "generalAnnotation",
        node(
            "productInformation",
            node("pass", item.direction.capitalize()),
            node("timelinessCategory", "Fast-24h"),
            node("platformHeading", exact(_heading_deg(item))),
            node("projection", "Ground Range"),
            node("rangeSamplingRate", exact(SAMPLING_RATE_HZ)),
            node("radarFrequency", exact(RADAR_FREQUENCY_HZ)),
            node("azimuthSteeringRate", exact(1.590368784)),
        ),
        counted("downlinkInformationList", []),
        counted("orbitList", states),
        counted("attitudeList", []),
        counted("rawDataAnalysisList", []),
        counted("replicaInformationList", []),
        counted("noiseList", []),
        counted("terrainHeightList", heights),
        counted("azimuthFmRateList", []),
    )


def _image_annotation(item: Slice) -> str:
    geometry = item.geometry
    middle = item.tie_points.incidence.shape[1] // 2
    return node(
        "imageAnnotation",
        node(
            "imageInformation",
            node("productFirstLineUtcTime", utc(item.start)),
            node("productLastLineUtcTime", utc(item.stop)),
            node("ascendingNodeTime", utc(ascending_node_time(item))),
            node("anchorTime", utc(geometry.instant(0))),
            node("productComposition", "Slice"),
            node("sliceNumber", item.number),
            counted("sliceList", []),
            node("slantRangeTime", exact(_two_way(geometry.slant_start))),
            node("pixelValue", "Detected"),
            node("outputPixels", "16 bit Unsigned Integer"),
            node("rangePixelSpacing", exact(geometry.spacing)),
            node("azimuthPixelSpacing", exact(_azimuth_spacing(item))),
            node("azimuthTimeInterval", exact(geometry.line_interval)),
            node("azimuthFrequency", exact(486.4863102995529)),
            node("numberOfSamples", geometry.samples),
            node("numberOfLines", item.lines),
            node("zeroDopMinusAcqTime", exact(0.0)),
            node("incidenceAngleMidSwath", exact(float(item.tie_points.incidence[0, middle]))),
        ),
        node(
            "processingInformation",
            node("thermalNoiseCorrectionPerformed", "false"),
            counted("swathProcParamsList", []),
            counted("inputDimensionsList", []),
            node("referenceRange", exact(800000.0)),
            node("ellipsoidName", "WGS84"),
            node("ellipsoidSemiMajorAxis", exact(6378137.0)),
            node("ellipsoidSemiMinorAxis", exact(6356752.314245)),
            node("bistaticDelayCorrectionApplied", "true"),
            node("topsFilterConvention", "Only Echo Lines"),
            node("orbitSource", "Downlink" if item.annotated else "Auxiliary"),
            node("attitudeSource", "Auxiliary"),
        ),
    )


def _tie_points(item: Slice) -> list[str]:
    grid = item.tie_points
    columns = (
        grid.line,
        grid.sample,
        grid.slant_range,
        grid.lat,
        grid.lon,
        grid.height,
        grid.incidence,
        grid.elevation_angle,
    )
    names = ("latitude", "longitude", "height", "incidenceAngle", "elevationAngle")
    points = []
    for line, sample, slant_range, *angles in np.stack([column.ravel() for column in columns], axis=-1):
        points.append(
            node(
                "geolocationGridPoint",
                node("azimuthTime", utc(item.geometry.instant(item.first + line))),
                node("slantRangeTime", exact(_two_way(slant_range))),
                node("line", int(line)),
                node("pixel", int(sample)),
                *(node(name, exact(value)) for name, value in zip(names, angles, strict=True)),
            )
        )
    return points


def _conversions(item: Slice) -> list[str]:
    """The records that cover the slice, with one more on either side."""
    records = item.geometry.records
    begin, end = item.geometry.line_time(item.first), item.geometry.line_time(item.last)
    first = max(int(np.searchsorted(records.times, begin)) - 2, 0)
    last = min(int(np.searchsorted(records.times, end)) + 2, len(records.times))
    return [
        node(
            "coordinateConversion",
            node("azimuthTime", _instant(item, records.times[index])),
            node("slantRangeTime", exact(_two_way(records.slant_start[index]))),
            node("sr0", exact(records.slant_start[index])),
            vector("srgrCoefficients", records.to_ground[index], "%.15e"),
            node("gr0", exact(0.0)),
            vector("grsrCoefficients", records.to_slant[index], "%.15e"),
        )
        for index in range(first, last)
    ]


def _swath_bounds(item: Slice) -> list[str]:
    return [
        node(
            "swathMerge",
            node("swath", swath.name),
            counted(
                "swathBoundsList",
                [
                    node(
                        "swathBounds",
                        node("azimuthTime", utc(item.start)),
                        node("firstAzimuthLine", 0),
                        node("firstRangeSample", swath.first_sample),
                        node("lastAzimuthLine", item.lines - 1),
                        node("lastRangeSample", swath.last_sample),
                    )
                ],
            ),
        )
        for swath in item.radiometry.swaths
    ]


def _azimuth_vector(item: Slice, block: SubSwath) -> str:
    return node(
        "noiseAzimuthVector",
        node("swath", block.name),
        node("firstAzimuthLine", 0),
        node("firstRangeSample", block.first_sample),
        node("lastAzimuthLine", item.lines - 1),
        node("lastRangeSample", block.last_sample),
        vector("line", block.lines, "%d"),
        vector("noiseAzimuthLut", block.factors),
    )


def _vector_head(item: Slice, line: float) -> list[str]:
    return [
        node("azimuthTime", utc(item.geometry.instant(item.first + line))),
        node("line", int(line)),
        vector("pixel", item.radiometry.samples, "%d"),
    ]


def _instant(item: Slice, seconds: float) -> str:
    epoch = item.geometry.orbit.epoch
    return utc(np.datetime64(epoch + np.timedelta64(round(seconds * 1e6) * 1000, "ns")))


def _two_way(slant_range: float) -> float:
    """Two-way travel time in seconds."""
    return float(2.0 * slant_range / LIGHT_SPEED_M_S)


def ascending_node_time(item: Slice) -> np.datetime64:
    """When the platform crossed the equator northwards, from its latitude on a circular orbit."""
    orbit = item.geometry.orbit
    period = 12.0 * 86400.0 / 175.0
    x, y, z = orbit.position(0.0)
    phase = np.degrees(np.arcsin(z / np.sqrt(x * x + y * y + z * z) / np.sin(np.radians(98.18))))
    fraction = (180.0 - phase if item.direction == "DESCENDING" else phase) / 360.0
    return np.datetime64(orbit.epoch - np.timedelta64(round(fraction * period * 1e6) * 1000, "ns"))


def _heading_deg(item: Slice) -> float:
    """Direction of flight over ground, clockwise from north, -180 to 180."""
    grid = item.tie_points
    north = grid.lat[-1, 0] - grid.lat[0, 0]
    east = (grid.lon[-1, 0] - grid.lon[0, 0]) * np.cos(np.radians(grid.lat[0, 0]))
    return float(np.degrees(np.arctan2(east, north)))


def _azimuth_spacing(item: Slice) -> float:
    geometry = item.geometry
    middle = np.array([float(item.first)])
    return float(geometry.pixel_area(middle, np.array([geometry.samples / 2]))[0, 0] / geometry.spacing)
