"""Acquisitions of a local folder of SAFE products, as folders or zips.

Dates come from the file names alone, so that one damaged file cannot hide the others: its own date fails
when its products are checked. Manifests are read only where names overlap in time.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from avalanche_assets.catalogue.acquisitions import (
    Acquisition,
    SourceListing,
    roles_by_month,
)
from avalanche_assets.catalogue.completeness import check_slices
from avalanche_assets.catalogue.duplicates import resolve_duplicates
from avalanche_assets.catalogue.interface import LonLatBounds, ProductOffer, ProductQuery
from avalanche_assets.catalogue.local import LocalCatalogue
from avalanche_assets.catalogue.registration import acquisition_of
from avalanche_assets.errors import CatalogueError, SafeError
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import MANIFEST, SafeArchive
from avalanche_assets.settings import TrackSettings

_LOGGER = logging.getLogger(__name__)
_WHOLE_EARTH = (-180.0, -90.0, 180.0, 90.0)


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


def list_safe_folder(
    folder: Path, track: TrackSettings, reference_months: Iterable[int], area: LonLatBounds | None = None
) -> SourceListing:
    """Acquisitions of the track whose IW GRDH 1SDV products lie in `folder`, in order of date.

    Of products that show the same ground one is kept (`resolve_duplicates`); the others are logged.
    With an area, footprints are read from the manifests and an acquisition has to cover it within the swath.

    Raises:
        CatalogueError: No such folder, or two platforms on one date.
    """
    query = ProductQuery(track.relative_orbit, track.direction, _WHOLE_EARTH)
    kept, dropped = resolve_duplicates(LocalCatalogue(folder).search(query))
    for item in dropped:
        _LOGGER.warning("%s: %s", folder, item)
    products: dict[date, list[ProductOffer]] = defaultdict(list)
    for product in kept:
        products[product.start.date()].append(product)
    roles = roles_by_month(sorted(products), reference_months)
    acquisitions = (_acquisition(day, products[day], roles[day], folder, area) for day in sorted(products))
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


def _acquisition(
    day: date, products: list[ProductOffer], role: str, folder: Path, area: LonLatBounds | None
) -> Acquisition:
    """One acquisition of products in order of time."""
    platforms = sorted({product.orbit for product in products})
    if len(platforms) > 1:
        raise CatalogueError(
            f"{folder}: products of {platforms} on {day}; one acquisition is one pass of one platform: "
            "move the others out of the folder"
        )
    slices = [replace(item, size_bytes=_size(folder / item.name)) for item in products]
    if area is not None:
        slices = [replace(item, footprint=_footprint(folder / item.name)) for item in slices]
    return acquisition_of(day, slices, check_slices(slices, area), role)


def _footprint(path: Path) -> str:
    """From the manifest; empty when it cannot be read, which `check_products` tells for its own date."""
    try:
        return SafeArchive.open(path).manifest.footprint
    except SafeError:
        return ""


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.stat().st_size for item in files)
