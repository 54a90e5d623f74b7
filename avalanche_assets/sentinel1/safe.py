"""The SAFE container: a folder, or a zip read in place, with its manifest and named files.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), product structure, file names and manifest.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.xml_fields import XmlNode

POLARISATIONS = ("VV", "VH")
MANIFEST = "manifest.safe"
FILE_PATTERNS = {
    "annotation": r"annotation/s1.-[^/]*-{pol}-[^/]*\.xml",
    "calibration": r"annotation/calibration/calibration-[^/]*-{pol}-[^/]*\.xml",
    "noise": r"annotation/calibration/noise-[^/]*-{pol}-[^/]*\.xml",
    "measurement": r"measurement/[^/]*-{pol}-[^/]*\.tiff?",
}
"""Role of a file to the pattern of its path inside the product."""


@dataclass(frozen=True)
class Manifest:
    """What the manifest says of the whole product.

    Attributes:
        platform: ``S1A`` to ``S1D``.
        mode: Instrument mode, ``IW``.
        product_type: ``GRD``.
        polarisations: Transmitted and received, e.g. ``("VV", "VH")``.
        absolute_orbit: Absolute orbit number at the start.
        relative_orbit: Relative orbit number, 1 to 175.
        direction: ``ASCENDING`` or ``DESCENDING``.
        ipf_version: Version of the Instrument Processing Facility, e.g. ``(2, 36)``.
        datatake_id: Mission data take.
        start: First azimuth time, UTC.
        stop: Last azimuth time, UTC.
        slice_number: Number in the regular slicing of the data take; 0 or None outside of it.
        processed: When the Instrument Processing Facility finished, UTC; None when not said.
    """

    platform: str
    mode: str
    product_type: str
    polarisations: tuple[str, ...]
    absolute_orbit: int
    relative_orbit: int
    direction: str
    ipf_version: tuple[int, int]
    datatake_id: int
    start: datetime
    stop: datetime
    slice_number: int | None = None
    processed: datetime | None = None


@dataclass(frozen=True)
class SafeArchive:
    """Files of one product, in a folder or a zip.

    Attributes:
        path: The folder or zip.
        root: Prefix of the product inside a zip, with its slash; empty for a folder.
        members: Paths of all files relative to the product's root.
    """

    path: Path
    root: str
    members: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> "SafeArchive":
        """Lists a product's files.

        Raises:
            SafeError: Nothing is there, the zip is truncated, or no manifest is inside.
        """
        if path.is_dir():
            files = (member for member in path.rglob("*") if member.is_file())
            members = sorted(member.relative_to(path).as_posix() for member in files)
            if MANIFEST not in members:
                raise SafeError(f"{path}: {MANIFEST} is missing; give the .SAFE folder of a complete product")
            return cls(path, "", tuple(members))
        if not path.exists():
            raise SafeError(f"{path}: no such product; give a .SAFE folder or a zip of one")
        try:
            with zipfile.ZipFile(path) as archive:
                names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        except zipfile.BadZipFile as error:
            raise SafeError(f"{path}: not a complete zip ({error}); download the product again") from error
        manifests = [name for name in names if name.split("/")[-1] == MANIFEST]
        if len(manifests) != 1:
            raise SafeError(f"{path}: {len(manifests)} files {MANIFEST}, one is needed; download it again")
        root = manifests[0].removesuffix(MANIFEST)
        inside = (name.removeprefix(root) for name in names if name.startswith(root))
        return cls(path, root, tuple(inside))

    @property
    def name(self) -> str:
        """Product name without ``.SAFE`` and ``.zip``."""
        return self.path.name.removesuffix(".zip").removesuffix(".SAFE")

    def read(self, member: str) -> bytes:
        """Content of one file.

        Raises:
            SafeError: The file is damaged.
        """
        if not self._zipped:
            return (self.path / member).read_bytes()
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.root + member)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
            raise SafeError(f"{self.path}: {member} is damaged ({error}); download it again") from error

    def has(self, role: str, polarisation: str) -> bool:
        """Whether the product holds the file of this role and polarisation."""
        return bool(self._matches(role, polarisation))

    def find(self, role: str, polarisation: str) -> str:
        """Path inside the product of the file with a role of `FILE_PATTERNS` and a polarisation.

        Raises:
            SafeError: The file is missing.
        """
        found = self._matches(role, polarisation)
        if not found:
            raise SafeError(
                f"{self.path}: no {role} file of polarisation {polarisation}; download the product again"
            )
        return found[0]

    def raster(self, polarisation: str) -> str:
        """Name under which GDAL opens the measurement of one polarisation, in place; raises as `find`."""
        member = self.find("measurement", polarisation)
        if self._zipped:
            return f"/vsizip/{{{self.path.resolve()}}}/{self.root}{member}"
        return str(self.path / member)

    @property
    def _zipped(self) -> bool:
        return not self.path.is_dir()

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest; raises `SafeError` when a field is missing."""
        return parse_manifest(self.read(MANIFEST), f"{self.path.name}/{MANIFEST}")

    def _matches(self, role: str, polarisation: str) -> list[str]:
        pattern = re.compile(FILE_PATTERNS[role].format(pol=polarisation.lower()))
        return [member for member in self.members if pattern.fullmatch(member)]


def parse_manifest(content: bytes, file: str) -> Manifest:
    """Reads a manifest.

    Raises:
        SafeError: A field is missing or malformed.
    """
    root = XmlNode.parse(content, file)
    platform = root.node("platform")
    orbit = root.node("orbitReference")
    product = root.node("standAloneProductInformation")
    period = root.node("acquisitionPeriod")
    return Manifest(
        platform="S1" + platform.text("number"),
        mode=platform.text("instrumentMode/mode"),
        product_type=product.text("productType"),
        polarisations=tuple(
            node.element.text.strip() for node in product.nodes("transmitterReceiverPolarisation")
        ),
        absolute_orbit=orbit.integer("orbitNumber"),
        relative_orbit=orbit.integer("relativeOrbitNumber"),
        direction=orbit.text("pass").upper(),
        ipf_version=_ipf_version(root),
        datatake_id=product.integer("missionDataTakeID"),
        start=_utc(period, "startTime"),
        stop=_utc(period, "stopTime"),
        slice_number=product.integer("sliceNumber") if product.nodes("sliceNumber") else None,
        processed=_processed(root),
    )


def require_supported(manifest: Manifest, path: Path) -> None:
    """Checks that a product is IW GRD with VV and VH.

    Raises:
        SafeError: Mode, product type or polarisations are others; the message names them.
    """
    if manifest.mode != "IW":
        raise SafeError(f"{path}: mode is {manifest.mode}; only Interferometric Wide swath (IW) is supported")
    if manifest.product_type != "GRD":
        raise SafeError(f"{path}: product type is {manifest.product_type}; only GRD is supported")
    missing = [name for name in POLARISATIONS if name not in manifest.polarisations]
    if missing:
        raise SafeError(
            f"{path}: polarisation {' and '.join(missing)} is missing, the product has "
            f"{', '.join(manifest.polarisations)}; give a dual-polarisation product (1SDV)"
        )


def _ipf_version(root: XmlNode) -> tuple[int, int]:
    """Version of the IPF itself: repackagers add software elements of their own."""
    for software in root.nodes("software"):
        version = re.fullmatch(r"0*(\d+)\.(\d+)", software.element.get("version", ""))
        if version and "IPF" in software.element.get("name", ""):
            return int(version[1]), int(version[2])
    raise SafeError(f"{root.file}: no software element names the Sentinel-1 IPF version; download it again")


def _processed(root: XmlNode) -> datetime | None:
    """End of the processing step in which the IPF ran, not of a repackager's."""
    for software in root.nodes("software"):
        if "IPF" in software.element.get("name", ""):
            stops = software.element.xpath("ancestor::*[local-name()='processing'][1]/@stop")
            try:
                return datetime.fromisoformat(stops[0]).replace(tzinfo=UTC)
            except (IndexError, ValueError):
                return None
    return None


def _utc(node: XmlNode, path: str) -> datetime:
    return datetime.fromisoformat(str(node.time(path).astype("datetime64[us]"))).replace(tzinfo=UTC)
