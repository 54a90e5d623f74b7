"""Acquisitions of a local folder of SAFE products, as folders or zips.

Dates come from the file names alone, so that one damaged file cannot hide the others: its own date fails
when its products are checked. Manifests are read only where names overlap in time.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

from avalanche_assets.catalogue.acquisitions import (
    Acquisition,
    SourceListing,
    roles_by_month,
)
from avalanche_assets.catalogue.completeness import check_slices
from avalanche_assets.catalogue.duplicates import overlapping, resolve_duplicates
from avalanche_assets.catalogue.interface import ProductOffer
from avalanche_assets.catalogue.registration import acquisition_of
from avalanche_assets.errors import CatalogueError, SafeError
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import MANIFEST, SafeArchive
from avalanche_assets.settings import TrackSettings

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(
    r"^(S1[A-D])_IW_GRDH_1SDV_(\d{8}T\d{6})_(\d{8}T\d{6})_(\d{6})_[0-9A-F]{6}_[0-9A-F]{4}(_COG)?"
    r"\.(SAFE|zip|SAFE\.zip)$"
)


@dataclass(frozen=True)
class ProductRecord:
    """What was checked of one product.

    Attributes:
        name: Product name.
        path: File or folder.
        size_bytes: Size of the zip, or of all files of the folder.
        manifest_sha256: Identifies the content: the manifest holds a checksum of every file.
        ipf_version: Version of the instrument processing facility.
        lines: Azimuth lines.
        samples: Range samples.
        start: First azimuth time, UTC.
        stop: Last azimuth time, UTC.
    """

    name: str
    path: str
    size_bytes: int
    manifest_sha256: str
    ipf_version: str
    lines: int
    samples: int
    start: datetime
    stop: datetime


def relative_orbit(platform: str, absolute_orbit: int) -> int:
    """Relative orbit of an absolute one.

    Source: repeat cycle of 175 orbits with the offsets of each platform; S1C moved its offset in June 2026.
    """
    offset = {"S1A": 73, "S1B": 27, "S1C": 172 if absolute_orbit <= 8018 else 99, "S1D": 42}[platform]
    return (absolute_orbit - offset) % 175 + 1


def list_safe_folder(folder: Path, track: TrackSettings, reference_months: Iterable[int]) -> SourceListing:
    """Acquisitions of the track whose IW GRDH 1SDV products lie in `folder`, in order of date.

    Of products that show the same ground one is kept (`resolve_duplicates`); the others are logged.

    Raises:
        CatalogueError: No such folder, or two platforms on one date.
    """
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: folder not found; set source.folder in the settings")
    matches = (_NAME.match(path.name) for path in folder.iterdir())
    offered = [
        ProductOffer(
            match[0],
            match[1],
            int(match[4]),
            _instant(match[2]),
            _instant(match[3]),
            id=match[0],
            cog=bool(match[5]),
            size_bytes=_size(folder / match[0]),
        )
        for match in matches
        if match and relative_orbit(match[1], int(match[4])) == track.relative_orbit
    ]
    doubtful = overlapping(offered)
    kept, dropped = resolve_duplicates(
        _with_manifest(item, folder) if item.name in doubtful else item for item in offered
    )
    for item in dropped:
        _LOGGER.warning("%s: %s", folder, item)
    products: dict[date, list[ProductOffer]] = defaultdict(list)
    for product in kept:
        products[product.start.date()].append(product)
    roles = roles_by_month(sorted(products), reference_months)
    acquisitions = (_acquisition(day, products[day], roles[day], folder) for day in sorted(products))
    return SourceListing(tuple(acquisitions), tuple(dropped))


def check_products(folder: Path, acquisition: Acquisition, track: TrackSettings) -> list[ProductRecord]:
    """Opens and checks every product of an acquisition, in order of time.

    Raises:
        SafeError: A product is damaged (every checksum is compared), of another kind, or of another track.
    """
    records = []
    for product in open_products(folder, acquisition):
        if (product.relative_orbit, product.direction) != (track.relative_orbit, track.direction):
            raise SafeError(
                f"{product.archive.path}: relative orbit {product.relative_orbit} {product.direction}, "
                f"but the settings ask for {track.relative_orbit} {track.direction}; move it or set [track]"
            )
        product.require_complete()
        product.archive.verify()
        lines, samples = product.shape
        records.append(
            ProductRecord(
                product.name,
                str(product.archive.path),
                _size(product.archive.path),
                sha256(product.archive.read(MANIFEST)).hexdigest(),
                ipf_text(product.ipf_version),
                lines,
                samples,
                product.start,
                product.stop,
            )
        )
    return records


def open_products(folder: Path, acquisition: Acquisition) -> list[Product]:
    """The acquisition's products in order of time.

    Raises:
        SafeError: A product is missing, damaged or of another kind.
    """
    products = [Product.open(folder / name) for name in acquisition.products]
    return sorted(products, key=lambda product: product.start)


def ipf_text(version: tuple[int, int]) -> str:
    """A processor version as the manifest writes it, e.g. ``2.90``."""
    return f"{version[0]}.{version[1]:02d}"


def _with_manifest(candidate: ProductOffer, folder: Path) -> ProductOffer:
    """A candidate with what its manifest says, or why it cannot be read."""
    try:
        manifest = SafeArchive.open(folder / candidate.name).manifest
    except SafeError as error:
        return replace(candidate, damage=str(error))
    return replace(
        candidate,
        slice_number=manifest.slice_number,
        processed=manifest.processed,
        ipf_version=manifest.ipf_version,
        footprint=manifest.footprint,
    )


def _acquisition(day: date, products: list[ProductOffer], role: str, folder: Path) -> Acquisition:
    """One acquisition of products in order of time."""
    platforms = sorted({product.orbit for product in products})
    if len(platforms) > 1:
        raise CatalogueError(
            f"{folder}: products of {platforms} on {day}; one acquisition is one pass of one platform: "
            "move the others out of the folder"
        )
    return acquisition_of(day, products, check_slices(products, None), role)


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.stat().st_size for item in files)
