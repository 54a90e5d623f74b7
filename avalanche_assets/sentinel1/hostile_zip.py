"""Refuses zips that no space agency would write: members outside their folder, and size bombs.

The pipeline reads products inside their zip and never unpacks them; people and other programs do.
"""

import re
import stat
import zipfile
from pathlib import Path

from avalanche_assets.errors import SafeError

MAX_UNPACKED_BYTES = 20_000_000_000
"""The largest products of the high-resolution IW mode have some 2 GB."""
MAX_RATIO = 100
"""Unpacked over packed bytes: images are packed to a half, annotations to a tenth."""
HARMLESS_BYTES = 1_000_000_000
"""Up to here the ratio does not matter: an empty image packs well, and files are read in pieces."""
_DRIVE = re.compile(r"[A-Za-z]:")


def require_harmless(archive: zipfile.ZipFile, path: Path) -> None:
    """Looks at the directory of a zip.

    The sizes there are claims; but no more bytes are ever unpacked than a member's claim, and one that has
    others fails its checksum.

    Raises:
        SafeError: A member is outside its folder, no plain file, or there twice, or the sizes are absurd.
    """
    members = archive.infolist()
    names = [member.orig_filename for member in members]
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if _outside(member.orig_filename) or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            _refuse(path, f"member {member.orig_filename[:200]!r} is no plain file inside of a folder")
    if len(set(names)) < len(names):
        _refuse(path, "a member is there twice")
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    on_disk = path.stat().st_size
    if packed > on_disk:
        _refuse(path, f"members claim {packed} packed bytes in a file of {on_disk}")
    if unpacked > MAX_UNPACKED_BYTES or unpacked > max(HARMLESS_BYTES, MAX_RATIO * on_disk):
        _refuse(path, f"it would unpack {on_disk} to {unpacked} bytes")


def _outside(name: str) -> bool:
    return (
        not name
        or name.startswith("/")
        or "\\" in name
        or "\0" in name
        or bool(_DRIVE.match(name))
        or ".." in name.split("/")
    )


def _refuse(path: Path, reason: str) -> None:
    raise SafeError(f"{path}: {reason}; this is no Sentinel-1 product, delete it and download it again")
