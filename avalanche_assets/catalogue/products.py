"""The products of one date once they are here: checked, recorded, opened again by later steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from avalanche_assets.errors import SafeError, TableError
from avalanche_assets.files import write_text
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import MANIFEST
from avalanche_assets.settings import TrackSettings


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


_FILE = TypeAdapter(list[ProductRecord])


def check_products(paths: Iterable[Path], track: TrackSettings) -> list[ProductRecord]:
    """Opens and checks every product of an acquisition; records in order of time.

    Raises:
        SafeError: A product is damaged (every checksum is compared), of another kind, or of another track.
    """
    return [_checked(product, track) for product in _opened(paths)]


def write_records(path: Path, records: Sequence[ProductRecord]) -> None:
    """Stores the records of one date as JSON."""
    write_text(path, _FILE.dump_json(list(records), indent=1).decode() + "\n")


def open_products(records: Path) -> list[Product]:
    """The checked products of one date in order of time.

    Args:
        records: What `write_records` wrote.

    Raises:
        TableError: The date's products have not been checked, or have gone since.
        SafeError: A product was damaged since.
    """
    try:
        known = _FILE.validate_json(records.read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise TableError(
            f"{records}: no record of checked products ({type(error).__name__}); materialise s1_products"
        ) from error
    if gone := [record.path for record in known if not Path(record.path).exists()]:
        raise TableError(
            f"{', '.join(gone)}: no longer there; materialise s1_products of the date, which fetches those "
            "of a remote source again (put those of a folder back first); then this again"
        )
    return _opened(Path(record.path) for record in known)


def ipf_text(version: tuple[int, int]) -> str:
    """A processor version as the manifest writes it, e.g. ``2.90``."""
    return f"{version[0]}.{version[1]:02d}"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.stat().st_size for item in files)


def _opened(paths: Iterable[Path]) -> list[Product]:
    return sorted((Product.open(path) for path in paths), key=lambda product: product.start)


def _checked(product: Product, track: TrackSettings) -> ProductRecord:
    archive = product.archive
    if (product.relative_orbit, product.direction) != (track.relative_orbit, track.direction):
        raise SafeError(
            f"{archive.path}: relative orbit {product.relative_orbit} {product.direction}, "
            f"but the settings ask for {track.relative_orbit} {track.direction}; move it or set [track]"
        )
    product.require_complete()
    archive.verify()
    lines, samples = product.shape
    return ProductRecord(
        product.name,
        str(archive.path),
        size_of(archive.path),
        sha256(archive.read(MANIFEST)).hexdigest(),
        ipf_text(product.ipf_version),
        lines,
        samples,
        product.start,
        product.stop,
    )
