"""The manifest of a product: what it is, when and where it was taken, and a checksum of every file.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), manifest; XFDU (CCSDS 661.0-B-1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from avalanche_assets.simulation.annotation_xml import ascending_node_time
from avalanche_assets.simulation.calendar import REPEAT_ORBITS
from avalanche_assets.simulation.radiometry import POLARISATIONS
from avalanche_assets.simulation.slices import Slice, utc
from avalanche_assets.simulation.xml_text import HEADER, node

NAMESPACES = {
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xmlns:gml": "http://www.opengis.net/gml",
    "xmlns:xfdu": "urn:ccsds:schema:xfdu:1",
    "xmlns:safe": "http://www.esa.int/safe/sentinel-1.0",
    "xmlns:s1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1",
    "xmlns:s1sarl1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1",
    "version": "esa/safe/sentinel-1.0/sentinel-1/sar/level-1/grd/standard/iwdp",
}
SCHEMAS = {
    "product": "s1Level1ProductSchema",
    "calibration": "s1Level1CalibrationSchema",
    "noise": "s1Level1NoiseSchema",
    "measurement": "s1Level1MeasurementSchema",
}
SATELLITE_IDS = {"S1A": "2014-016A", "S1B": "2016-025A"}


@dataclass(frozen=True)
class DataObject:
    """One file of the product.

    Attributes:
        member: Path inside the product.
        role: A key of `SCHEMAS`.
        size: Bytes.
        md5: Checksum.
    """

    member: str
    role: str
    size: int
    md5: str

    @property
    def id(self) -> str:
        """Name of the object inside the manifest."""
        prefix = "product" if self.role == "product" else ""
        return prefix + PurePosixPath(self.member).stem.replace("-", "")


def manifest_xml(item: Slice, objects: Sequence[DataObject]) -> str:
    """The content of ``manifest.safe``."""
    return HEADER + node(
        "xfdu:XFDU",
        node("informationPackageMap", _package(objects)),
        node("metadataSection", *_metadata(item)),
        node("dataObjectSection", *(_data_object(entry) for entry in objects)),
        **NAMESPACES,
    )


def _package(objects: Sequence[DataObject]) -> str:
    units = [
        node(
            "xfdu:contentUnit",
            node("dataObjectPointer", dataObjectID=entry.id),
            unitType="Measurement Data Unit" if entry.role == "measurement" else "Metadata Unit",
            repID=SCHEMAS[entry.role],
        )
        for entry in objects
    ]
    return node(
        "xfdu:contentUnit",
        *units,
        unitType="SAFE Archive Information Package",
        textInfo="Sentinel-1 IW Level-1 GRD Product",
        dmdID="acquisitionPeriod platform generalProductInformation measurementOrbitReference "
        "measurementFrameSet",
        pdiID="processing",
    )


def _metadata(item: Slice) -> list[str]:
    corners = " ".join(f"{lat:.6f},{lon:.6f}" for lat, lon in item.footprint)
    frame = node(
        "safe:frame",
        node(
            "safe:footPrint",
            node("gml:coordinates", corners),
            srsName="http://www.opengis.net/gml/srs/epsg.xml#4326",
        ),
    )
    return [
        _wrapped("processing", "PROVENANCE", "Processing", _processing(item)),
        _wrapped("platform", "DESCRIPTION", "Platform Description", _platform(item)),
        _wrapped("measurementOrbitReference", "DESCRIPTION", "Orbit Reference", _orbit(item)),
        _wrapped("generalProductInformation", "DESCRIPTION", "General Product Information", _general(item)),
        _wrapped("acquisitionPeriod", "DESCRIPTION", "Acquisition Period", _period(item)),
        _wrapped("measurementFrameSet", "DESCRIPTION", "Frame Set", node("safe:frameSet", frame)),
    ]


def _wrapped(name: str, classification: str, text: str, content: str) -> str:
    return node(
        "metadataObject",
        node(
            "metadataWrap",
            node("xmlData", content),
            mimeType="text/xml",
            vocabularyName="SAFE",
            textInfo=text,
        ),
        ID=name,
        classification=classification,
        category="PDI" if classification == "PROVENANCE" else "DMD",
    )


def _processing(item: Slice) -> str:
    software = node("safe:software", name="Sentinel-1 IPF", version=item.ipf_version)
    facility = node(
        "safe:facility",
        software,
        country="none",
        name="avalanche-assets simulation",
        organisation="none",
        site="synthetic product, not measured",
    )
    return node(
        "safe:processing",
        facility,
        name="Simulated GRD",
        start=utc(item.start),
        stop=utc(item.stop),
    )


def _platform(item: Slice) -> str:
    mode = node("s1sarl1:instrumentMode", node("s1sarl1:mode", "IW"), node("s1sarl1:swath", "IW"))
    instrument = node(
        "safe:instrument",
        node("safe:familyName", "Synthetic Aperture Radar", abbreviation="SAR"),
        node("safe:extension", mode),
    )
    return node(
        "safe:platform",
        node("safe:nssdcIdentifier", SATELLITE_IDS[item.platform]),
        node("safe:familyName", "SENTINEL-1"),
        node("safe:number", item.platform[-1]),
        instrument,
    )


def _orbit(item: Slice) -> str:
    properties = node(
        "s1:orbitProperties",
        node("s1:pass", item.direction),
        node("s1:ascendingNodeTime", utc(ascending_node_time(item))),
    )
    numbers = [
        node(f"safe:{name}", value, type=kind)
        for name, value in (
            ("orbitNumber", item.absolute_orbit),
            ("relativeOrbitNumber", item.relative_orbit),
        )
        for kind in ("start", "stop")
    ]
    return node(
        "safe:orbitReference",
        *numbers,
        node("safe:cycleNumber", item.absolute_orbit // REPEAT_ORBITS + 1),
        node("safe:phaseIdentifier", 1),
        node("safe:extension", properties),
    )


def _general(item: Slice) -> str:
    fields: list[tuple[str, object]] = [
        ("instrumentConfigurationID", 1),
        ("missionDataTakeID", item.datatake_id),
        *(("transmitterReceiverPolarisation", name) for name in POLARISATIONS),
        ("productClass", "S"),
        ("productClassDescription", "SAR Standard L1 Product"),
        ("productComposition", "Slice"),
        ("productType", "GRD"),
        ("productTimelinessCategory", "Fast-24h"),
        ("sliceProductFlag", "true"),
        ("segmentStartTime", utc(item.geometry.instant(0))),
        ("sliceNumber", item.number),
        ("totalSlices", item.total),
    ]
    return node(
        "s1sarl1:standAloneProductInformation",
        *(node(f"s1sarl1:{name}", value) for name, value in fields),
    )


def _period(item: Slice) -> str:
    return node(
        "safe:acquisitionPeriod",
        node("safe:startTime", utc(item.start)),
        node("safe:stopTime", utc(item.stop)),
    )


def _data_object(entry: DataObject) -> str:
    kind = "application/octet-stream" if entry.role == "measurement" else "text/xml"
    stream = node(
        "byteStream",
        node("fileLocation", locatorType="URL", href=f"./{entry.member}"),
        node("checksum", entry.md5, checksumName="MD5"),
        mimeType=kind,
        size=entry.size,
    )
    return node("dataObject", stream, ID=entry.id, repID=SCHEMAS[entry.role])
