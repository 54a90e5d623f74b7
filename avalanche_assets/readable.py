"""Whether stored files still open: what a full disk, a crash of the machine or a careless hand leaves behind.

Files are opened, not read through: each by the part that tells whether it is whole.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from avalanche_assets.stored_path import arrow_file, gdal_name, gdal_options, local_file

PNG_END = b"IEND\xaeB`\x82"


def unreadable_files(root: Path, days: Iterable[str]) -> tuple[int, list[tuple[Path, str]]]:
    """Looks at every file of some dates.

    Args:
        root: The data root.
        days: Acquisition dates, ``YYYY-MM-DD``.

    Returns:
        The number of files looked at, and those that do not open, each with the reason.
    """
    # Folder by folder: a pattern over all would list the whole bucket.
    stages = sorted(path for path in root.glob("*") if path.is_dir())
    assets = [path for stage in stages for path in sorted(stage.glob("*")) if path.is_dir()]
    files = [
        path
        for day in days
        for folder in assets
        if (partition := folder / f"acquisition_date={day}").is_dir()
        for path in sorted(partition.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    reasons = [(path, why_unreadable(path)) for path in files]
    return len(files), [(path, reason) for path, reason in reasons if reason]


def why_unreadable(path: Path) -> str:
    """Why a file does not open, in a few words; empty when it does."""
    if path.stat().st_size == 0:
        return "it is empty"
    look = _LOOKS.get(path.suffix)
    try:
        return look(path) if look else ""
    except Exception as error:  # each library has errors of its own; here all of them mean the same
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"


def _raster(path: Path) -> str:
    """Opens it and asks where its tiles lie: a file that was cut off ends before the last of them."""
    import rasterio

    with rasterio.Env(**gdal_options(path)), rasterio.open(gdal_name(path)) as dataset:
        rows, cols = dataset.block_shapes[0]
        places = [
            (col, row)
            for row in range(-(-dataset.height // rows))
            for col in range(-(-dataset.width // cols))
        ]
        end = max(
            (
                int(dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band) or 0)
                + int(dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band) or 0)
                for band in dataset.indexes
                for col, row in places
            ),
            default=0,
        )
    return "it was cut off" if end > path.stat().st_size else ""


def _table(path: Path) -> str:
    """Its footer, which is written last, says where everything is."""
    import pyarrow.parquet as pq

    name, filesystem = arrow_file(path)
    pq.read_metadata(name, filesystem=filesystem)
    return ""


def _json(path: Path) -> str:
    json.loads(path.read_text(encoding="utf-8"))
    return ""


def _geopackage(path: Path) -> str:
    with local_file(path) as file, closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    return "" if answer == "ok" else str(answer)


def _picture(path: Path) -> str:
    return "" if path.read_bytes().endswith(PNG_END) else "it was cut off"


def _page(path: Path) -> str:
    return "" if path.read_text(encoding="utf-8").rstrip().endswith("</html>") else "it was cut off"


_LOOKS: dict[str, Callable[[Path], str]] = {
    ".tif": _raster,
    ".parquet": _table,
    ".json": _json,
    ".gpkg": _geopackage,
    ".png": _picture,
    ".html": _page,
}
