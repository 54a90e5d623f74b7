"""Which layout the files below a data root have, so that other programs than theirs do not misread them.

`LAYOUT_VERSION` grows when paths or the meaning of files change in a way that old files cannot be read by new
code. Columns of a table have versions of their own (`tables.py`): there a date can be made again.
"""

import json
from pathlib import Path

from avalanche_assets.errors import SettingsError
from avalanche_assets.files import write_text
from avalanche_assets.layout import DataLayout

LAYOUT_VERSION = 1


def check_layout(layout: DataLayout) -> None:
    """Raises `SettingsError` when the data root has another layout than this code."""
    version = _version(layout.version_file)
    if version is None or version == LAYOUT_VERSION:
        return
    remedy = (
        "install the newer programs that wrote it"
        if version > LAYOUT_VERSION
        else "follow the changelog to bring it up to date, or name an empty data_root"
    )
    raise SettingsError(
        f"{layout.version_file}: this data root has layout {version}, these programs have {LAYOUT_VERSION}; "
        f"{remedy}"
    )


def stamp_layout(layout: DataLayout) -> None:
    """Checks the layout, and writes it down where nothing says it yet: in a new data root, or an old one."""
    check_layout(layout)
    if not layout.version_file.exists():
        write_text(layout.version_file, json.dumps({"layout": LAYOUT_VERSION}) + "\n")


def _version(file: Path) -> int | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read ({error}); restore it from the backup") from error
    version = content.get("layout") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise SettingsError(f"{file}: layout is {version!r}, not a number; restore it from the backup")
    return version
