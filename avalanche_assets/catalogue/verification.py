"""What makes a fetched product trusted, and the note beside it that says so.

With an MD5 in the catalogue, that decides. Catalogues may publish it hours after the product; until then
its size, the checksums of the zip (CRC) and the MD5s in its manifest decide, and the product is checked again
when the MD5 has appeared. The note lets later runs skip both the fetch and the check.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from avalanche_assets.errors import SafeError
from avalanche_assets.files import file_md5, write_text, writing
from avalanche_assets.sentinel1.safe import SafeArchive
from avalanche_assets.services.http_service import Remote
from avalanche_assets.services.progress import Progress

_LOGGER = logging.getLogger(__name__)


class Verified(BaseModel):
    """The note beside a verified file.

    Attributes:
        size_bytes: Of the file.
        mtime_ns: When its bytes were last written; a file changed since is no longer trusted.
        by: ``md5`` of the catalogue, or size, CRCs and ``manifest``.
        md5: Of the catalogue, hexadecimal; empty while it had none.
        catalogue_id: What the catalogue calls it.
        at: When it was verified, UTC.
    """

    model_config = ConfigDict(frozen=True)

    size_bytes: int
    mtime_ns: int
    by: Literal["md5", "manifest"]
    md5: str
    catalogue_id: str
    at: datetime


def note_of(path: Path) -> Path:
    """Where the note of a file lies."""
    return path.with_name(f"{path.name}.verified.json")


def read_note(path: Path) -> Verified | None:
    """What is noted of a file; None when nothing is, or it was changed since."""
    try:
        note = Verified.model_validate_json(note_of(path).read_bytes())
        status = path.stat()
    except (OSError, ValidationError):
        return None
    return note if (status.st_size, status.st_mtime_ns) == (note.size_bytes, note.mtime_ns) else None


def copies(name: str, folder: Path) -> list[Path]:
    """Where a product lies in `folder`; each source, and each hand, gives it a name of another form."""
    stem = name.removesuffix(".zip").removesuffix(".SAFE")
    named = (folder / f"{stem}{ending}" for ending in (".SAFE.zip", ".SAFE", ".zip"))
    return [path for path in named if path.exists()]


def compare_late_md5(name: str, md5: str, folder: Path) -> list[str]:
    """Compares fetched copies of a product that were verified while the catalogue had no MD5 of it.

    Those that are right are noted so and not read again. Another MD5 of contents that their manifest
    confirms mostly means that the product was packed anew.

    Args:
        name: Of the product.
        md5: What the catalogue says by now, hexadecimal.
        folder: Where copies lie.

    Returns:
        What is wrong with which copy.
    """
    wrong = []
    for path in copies(name, folder):
        note = read_note(path)
        if note is None or note.by == "md5":
            continue
        if (found := file_md5(path)) == md5.lower():
            _write_note(path, note.model_copy(update={"by": "md5", "md5": found, "at": _now()}))
        else:
            wrong.append(f"{path.name}: its MD5 is {found}, the catalogue says {md5.lower()} by now")
    return wrong


def is_verified(path: Path, size_bytes: int | None, md5: str) -> bool:
    """Whether a file was verified against what the catalogue says now; reads only its note.

    One that was verified without the MD5 which the catalogue has by now is not: it is checked again.
    """
    note = read_note(path)
    if note is None or size_bytes not in (None, note.size_bytes):
        return False
    return not md5 or note.md5 == md5.lower()


def verify_product(path: Path) -> None:
    """Checks a product by itself: harmless zip, CRCs, and the MD5 and size of each file in its manifest.

    Raises:
        SafeError: It is damaged, incomplete or hostile.
    """
    SafeArchive.open(path).verify()


class Downloads(Protocol):
    """What fetches files; `HttpService` does."""

    def download(
        self, remote: Remote, folder: Path, check: Callable[[Path], None], progress: Progress
    ) -> Path:
        """The whole file in `folder`, resumed, and under its name only after `check` accepted it."""
        ...


def fetch_product(
    service: Downloads, remote: Remote, folder: Path, progress: Progress, catalogue_id: str
) -> Path:
    """The verified zip of a product in `folder`; one that is there already is verified instead of fetched.

    A copy under another name was put there by hand or by another source: it is taken as it is, since whoever
    opens it compares the checksums in it.

    Raises:
        CatalogueError: As `HttpService.download`.
    """
    with writing(folder / remote.name):
        return _fetched(service, remote, folder, progress, catalogue_id)


def _fetched(service: Downloads, remote: Remote, folder: Path, progress: Progress, catalogue_id: str) -> Path:
    path = folder / remote.name
    if is_verified(path, remote.size_bytes, remote.md5):
        return path
    if not path.exists() and (others := copies(remote.name, folder)):
        return others[0]
    if not (path.is_file() and _is_sound(path, remote)):
        # The catalogue's MD5 says more than the manifest; the zip has to be a harmless product all the same.
        path = service.download(remote, folder, _open if remote.md5 else verify_product, progress)
    status = path.stat()
    note = Verified(
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        by="md5" if remote.md5 else "manifest",
        md5=remote.md5.lower(),
        catalogue_id=catalogue_id,
        at=_now(),
    )
    _write_note(path, note)
    return path


def _write_note(path: Path, note: Verified) -> None:
    write_text(note_of(path), note.model_dump_json(indent=2) + "\n")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _is_sound(path: Path, remote: Remote) -> bool:
    """Whether a file that lies there already is the one sought."""
    _LOGGER.info("%s: is there, but not verified as the catalogue asks; checking it", path)
    if remote.size_bytes not in (None, path.stat().st_size):
        reason = f"it has {path.stat().st_size} bytes, the catalogue says {remote.size_bytes}"
    elif remote.md5 and (found := file_md5(path)) != remote.md5.lower():
        reason = f"its MD5 is {found}, the catalogue says {remote.md5.lower()}"
    else:
        try:
            (_open if remote.md5 else verify_product)(path)
        except SafeError as error:
            reason = str(error)
        else:
            return True
    _LOGGER.warning("%s: %s; fetched again", path, reason)
    return False


def _open(path: Path) -> None:
    SafeArchive.open(path)
