"""The SAFE container: a folder, or a zip read in place, with its manifest and named files.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), product structure, file names and manifest.
"""

import hashlib
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.hostile_zip import require_harmless
from avalanche_assets.sentinel1.xml_fields import XmlNode

POLARISATIONS = ("VV", "VH")
MANIFEST = "manifest.safe"
FILE_PATTERNS = {
    "annotation": r"annotation/s1.-[^/]*-{pol}-[^/]*\.xml",
    "calibration": r"annotation/calibration/calibration-[^/]*-{pol}-[^/]*\.xml",
    "noise": r"annotation/calibration/noise-[^/]*-{pol}-[^/]*\.xml",
    "measurement": r"measurement/s1.-[^/]*-{pol}-[^/]*\.tiff?",
}
"""Role of a file to the pattern of its path inside the product; rasters of COG twins end in ``-cog.tiff``."""
PLATFORMS = ("S1A", "S1B", "S1C", "S1D")
OTHER_MODES = {"EW": "Extra Wide swath", "WV": "Wave", "SM": "Stripmap"} | {
    f"S{beam}": "Stripmap" for beam in range(1, 7)
}
"""Instrument modes that are not supported; names of Stripmap products carry their beam in its place."""
MAX_XML_BYTES = 100_000_000
"""The largest annotations have some 3 MB; more is no annotation, or a zip bomb."""
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    IndexError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)
"""What the standard library raises on a damaged, encrypted or oddly compressed zip."""
_NAME = re.compile(r"S1[A-Z]_(?P<mode>\w\w)_(?P<kind>\w{3})(?P<resolution>\w)_\w(?P<class>\w)\w\w_")


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
        footprint: WKT of the corners on the ground, longitude and latitude; empty when not said.
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
    footprint: str = ""


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
    def open(cls, path: Path | str) -> "SafeArchive":
        """Lists a product's files.

        Raises:
            SafeError: Nothing is there, the zip is truncated or hostile, or no manifest is inside.
        """
        path = Path(path)
        try:
            if path.is_dir():
                files = (member for member in path.rglob("*") if member.is_file())
                names = sorted(member.relative_to(path).as_posix() for member in files)
                root = ""
            elif path.exists():
                with zipfile.ZipFile(path) as archive:
                    require_harmless(archive, path)
                    names = sorted(name for name in archive.namelist() if not name.endswith("/"))
                root = _root(path, names)
            else:
                raise SafeError(f"{path}: no such product; give a .SAFE folder or a zip of one")
        except ZIP_ERRORS as error:
            raise SafeError(f"{path}: not a complete zip or folder ({error}); download it again") from error
        if root + MANIFEST not in names:
            raise SafeError(f"{path}: {MANIFEST} is missing; give the .SAFE folder of a complete product")
        inside = (name.removeprefix(root) for name in names if name.startswith(root))
        return cls(path, root, tuple(inside))

    @property
    def name(self) -> str:
        """Product name without ``.SAFE`` and ``.zip``."""
        return self.path.name.removesuffix(".zip").removesuffix(".SAFE")

    def read(self, member: str) -> bytes:
        """Content of one XML file; inside a zip its checksum (CRC) is checked.

        Raises:
            SafeError: The file is damaged or far too large.
        """
        with self._open(member) as stream:
            content = stream.read(MAX_XML_BYTES + 1)
        if len(content) > MAX_XML_BYTES:
            raise SafeError(f"{self.path}: {member} has more than {MAX_XML_BYTES} bytes; download it again")
        return content

    def size(self, member: str) -> int:
        """Bytes of one file, unpacked; raises as `read`."""
        try:
            if not self._zipped:
                return (self.path / member).stat().st_size
            with zipfile.ZipFile(self.path) as archive:
                return archive.getinfo(self.root + member).file_size
        except (*ZIP_ERRORS, KeyError) as error:
            raise SafeError(f"{self.path}: {member} is damaged ({error}); download it again") from error

    def verify(self) -> None:
        """Reads every file once and compares it with the checksums: MD5 of the manifest, CRC of a zip.

        Only this finds changed bytes of a measurement inside a zip: GDAL reads it in place and checks no CRC,
        neither of a stored member nor of a deflated one that still inflates. A product of 2 GB takes seconds.

        Raises:
            SafeError: A file is damaged, or an annotation or measurement that the manifest lists is missing.
        """
        objects = parse_data_objects(self.read(MANIFEST), self.label(MANIFEST))
        for member in sorted(objects.keys() - set(self.members)):
            if PurePosixPath(member).parts[0] in ("annotation", "measurement"):
                raise SafeError(f"{self.path}: {member} is missing; download the product again")
        for member in self.members:
            with self._open(member) as stream:
                size, digest = _size_and_md5(stream)
            if member in objects and (size, digest) != objects[member]:
                raise SafeError(
                    f"{self.path}: {member} has {size} bytes with MD5 {digest}, the manifest says "
                    f"{objects[member][0]} and {objects[member][1]}; download the product again"
                )

    @contextmanager
    def _open(self, member: str) -> Iterator[IO[bytes]]:
        """One file for reading; whatever goes wrong while it is open becomes an error that names it."""
        try:
            if not self._zipped:
                with (self.path / member).open("rb") as stream:
                    yield stream
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.root + member) as stream:
                    yield stream
        except (*ZIP_ERRORS, KeyError) as error:
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
        if not self._zipped:
            return str(self.path / member)
        zipped = str(self.path.resolve())
        # Braces say where the name of the zip ends; inside of it they would say something else.
        marked = zipped if set(zipped) & set("{}") else f"{{{zipped}}}"
        return f"/vsizip/{marked}/{self.root}{member}"

    def label(self, member: str) -> str:
        """What messages call one file: the product and the path inside it."""
        return f"{self.path.name}/{member}"

    @property
    def _zipped(self) -> bool:
        return not self.path.is_dir()

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest; raises `SafeError` when a field is missing."""
        return parse_manifest(self.read(MANIFEST), self.label(MANIFEST))

    def _matches(self, role: str, polarisation: str) -> list[str]:
        pattern = re.compile(FILE_PATTERNS[role].format(pol=polarisation.lower()))
        return [member for member in self.members if pattern.fullmatch(member)]


def _root(path: Path, names: list[str]) -> str:
    """The folder of the only product in a zip, with its slash."""
    manifests = [name for name in names if name.split("/")[-1] == MANIFEST]
    if len(manifests) != 1:
        raise SafeError(f"{path}: {len(manifests)} files {MANIFEST}, one is needed; download it again")
    return manifests[0].removesuffix(MANIFEST)


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
    manifest = Manifest(
        platform="S1" + platform.text("number"),
        mode=platform.text("instrumentMode/mode"),
        product_type=product.text("productType"),
        polarisations=product.texts("transmitterReceiverPolarisation"),
        absolute_orbit=orbit.integer("orbitNumber", 1),
        relative_orbit=orbit.integer("relativeOrbitNumber", 1, 175),
        direction=orbit.text("pass").upper(),
        ipf_version=_ipf_version(root),
        datatake_id=product.integer("missionDataTakeID"),
        start=_utc(period, "startTime"),
        stop=_utc(period, "stopTime"),
        slice_number=product.integer("sliceNumber") if product.nodes("sliceNumber") else None,
        processed=_processed(root),
        footprint=_footprint(root),
    )
    if manifest.platform not in PLATFORMS:
        raise SafeError(
            f"{file}: platform {manifest.platform!r} is unknown; use products of {', '.join(PLATFORMS)}"
        )
    if manifest.direction not in ("ASCENDING", "DESCENDING"):
        raise SafeError(f"{file}: field pass is {manifest.direction!r}; download the product again")
    return manifest


def parse_data_objects(content: bytes, file: str) -> dict[str, tuple[int, str]]:
    """Reads from a manifest the bytes and the MD5 of every file, by its path inside the product.

    Raises:
        SafeError: None is listed, or a field is missing or malformed.
    """
    objects: dict[str, tuple[int, str]] = {}
    for stream in XmlNode.parse(content, file).nodes("dataObjectSection/dataObject/byteStream"):
        member = stream.node("fileLocation").element.get("href", "").removeprefix("./")
        size = stream.element.get("size", "")
        if not (member and re.fullmatch(r"\d{1,15}", size, re.ASCII)):
            raise SafeError(f"{file}: a dataObject has no file or no size; download the product again")
        objects[member] = int(size), stream.text("checksum").lower()
    if not objects:
        raise SafeError(f"{file}: dataObjectSection lists no files; download the product again")
    return objects


def _size_and_md5(stream: IO[bytes]) -> tuple[int, str]:
    digest, size = hashlib.md5(usedforsecurity=False), 0
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def require_supported_name(name: str, path: Path) -> None:
    """Refuses by its name a product that is not IW GRD in high resolution; other names pass.

    The name tells even of kinds whose manifests lack the fields that `require_supported` looks at.

    Raises:
        SafeError: Mode, product type, resolution, level or class are others; the message names them.
    """
    match = _NAME.match(name)
    if not match:
        return
    if match["mode"] != "IW":
        raise SafeError(f"{path}: {_mode_refused(match['mode'])}")
    if match["kind"] != "GRD":
        raise SafeError(f"{path}: {_type_refused(match['kind'].strip('_'))}")
    if match["resolution"] != "H":
        raise SafeError(
            f"{path}: resolution class is {match['resolution']}; only high resolution (GRDH) is supported"
        )
    if match["class"] != "S":
        raise SafeError(
            f"{path}: product class is {match['class']}; only standard products (1SDV) have images"
        )


def require_supported(manifest: Manifest, path: Path) -> None:
    """Checks that a product is IW GRD with VV and VH.

    Raises:
        SafeError: Mode, product type or polarisations are others; the message names them.
    """
    if manifest.mode != "IW":
        raise SafeError(f"{path}: {_mode_refused(manifest.mode)}")
    if manifest.product_type != "GRD":
        raise SafeError(f"{path}: {_type_refused(manifest.product_type)}")
    missing = [name for name in POLARISATIONS if name not in manifest.polarisations]
    if missing:
        raise SafeError(
            f"{path}: polarisation {' and '.join(missing)} is missing, the product has "
            f"{', '.join(manifest.polarisations) or 'none'}; give a dual-polarisation product (1SDV)"
        )


def _mode_refused(mode: str) -> str:
    known = f"{mode} ({OTHER_MODES[mode]})" if mode in OTHER_MODES else repr(mode)
    return f"mode is {known}; only Interferometric Wide swath (IW) is supported"


def _type_refused(product_type: str) -> str:
    return f"product type is {product_type}; only ground range detected (GRD) is supported"


def _ipf_version(root: XmlNode) -> tuple[int, int]:
    """Version of the IPF itself: repackagers add software elements of their own."""
    for software in root.nodes("software"):
        version = re.fullmatch(r"0*(\d{1,2})\.(\d{1,2})", software.element.get("version", ""), re.ASCII)
        if version and "IPF" in software.element.get("name", ""):
            return int(version[1]), int(version[2].ljust(2, "0"))
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


def _footprint(root: XmlNode) -> str:
    """The frame's corners, which the manifest writes as ``latitude,longitude`` pairs."""
    for text in root.texts("frameSet/frame/footPrint/coordinates"):
        with suppress(ValueError):
            corners = [tuple(float(part) for part in pair.split(",")) for pair in text.split()]
            ring = [f"{lon} {lat}" for lat, lon in (*corners, *corners[:1])]
            if len(corners) >= 3 and all(abs(lat) <= 90 and abs(lon) <= 180 for lat, lon in corners):
                return f"POLYGON (({', '.join(ring)}))"
    return ""


def _utc(node: XmlNode, path: str) -> datetime:
    return datetime.fromisoformat(str(node.time(path).astype("datetime64[us]"))).replace(tzinfo=UTC)
