"""Acquisitions of a local folder of SAFE products, as folders or zips.

Dates come from the file names alone, so that one damaged file cannot hide the others: its own date fails
when its products are checked.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from avalanche_assets.catalogue.acquisitions import Acquisition, roles_by_month, season_of
from avalanche_assets.errors import CatalogueError, SafeError
from avalanche_assets.sentinel1.orbit import Orbit, merge_orbits
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import MANIFEST
from avalanche_assets.settings import TrackSettings

_NAME = re.compile(
    r"^(S1[A-D])_IW_GRDH_1SDV_(\d{8}T\d{6})_(\d{8}T\d{6})_(\d{6})_[0-9A-F]{6}_[0-9A-F]{4}\.(SAFE|zip|SAFE\.zip)$"
)
_ABUTTING = timedelta(seconds=2)
"""Names carry whole seconds: slices of one data take differ by at most this between stop and start."""


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


def find_acquisitions(
    folder: Path, track: TrackSettings, reference_months: Iterable[int]
) -> list[Acquisition]:
    """Acquisitions of the track whose IW GRDH 1SDV products lie in `folder`, in order of date.

    Raises:
        CatalogueError: No such folder, or two platforms on one date.
    """
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: folder not found; set source.folder in the settings")
    products: dict[date, list[re.Match[str]]] = defaultdict(list)
    seen: set[str] = set()
    for path in sorted(folder.iterdir()):
        match = _NAME.match(path.name)
        # A product may lie there twice: as a zip, and unzipped beside it.
        if not match or (name := path.name.partition(".")[0]) in seen:
            continue
        if relative_orbit(match[1], int(match[4])) == track.relative_orbit:
            products[_instant(match[2]).date()].append(match)
            seen.add(name)
    roles = roles_by_month(sorted(products), reference_months)
    return [_acquisition(day, products[day], roles[day], folder) for day in sorted(products)]


def check_products(folder: Path, acquisition: Acquisition, track: TrackSettings) -> list[ProductRecord]:
    """Opens and checks every product of an acquisition, in order of time.

    Raises:
        SafeError: A product is damaged, of another kind, or not of the configured track.
    """
    records = []
    for product in open_products(folder, acquisition):
        if (product.relative_orbit, product.direction) != (track.relative_orbit, track.direction):
            raise SafeError(
                f"{product.archive.path}: relative orbit {product.relative_orbit} {product.direction}, "
                f"but the settings ask for {track.relative_orbit} {track.direction}; move it or set [track]"
            )
        product.require_complete()
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


def acquisition_orbit(folder: Path, acquisition: Acquisition) -> Orbit:
    """The path during an acquisition from the state vectors annotated in all its products.

    Raises:
        SafeError: As `open_products`.
    """
    return merge_orbits(product.orbit for product in open_products(folder, acquisition))


def ipf_text(version: tuple[int, int]) -> str:
    """A processor version as the manifest writes it, e.g. ``2.90``."""
    return f"{version[0]}.{version[1]:02d}"


def _acquisition(day: date, names: list[re.Match[str]], role: str, folder: Path) -> Acquisition:
    platforms = sorted({(match[1], int(match[4])) for match in names})
    if len(platforms) > 1:
        raise CatalogueError(
            f"{folder}: products of {platforms} on {day}; one acquisition is one pass of one platform: "
            "move the others out of the folder"
        )
    spans = sorted((_instant(match[2]), _instant(match[3])) for match in names)
    abut = all(abs(later[0] - earlier[1]) <= _ABUTTING for earlier, later in pairwise(spans))
    platform, absolute_orbit = platforms[0]
    return Acquisition(
        day,
        spans[0][0],
        platform,
        absolute_orbit,
        role,
        season_of(day),
        abut,
        tuple(match[0] for match in names),
    )


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.stat().st_size for item in files)
