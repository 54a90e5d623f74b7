"""Files that were cut off, emptied or overwritten are found; whole ones are not complained about."""

import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avalanche_assets.grid import Grid
from avalanche_assets.rasters import write_cog
from avalanche_assets.readable import PNG_END, unreadable_files, why_unreadable

GRID = Grid("EPSG:32632", 300000.0, 5100000.0, 20.0, 300, 300)
DAY = "2018-01-09"


def raster(path):
    noise = np.random.default_rng(1).normal(size=GRID.shape).astype(np.float32)
    write_cog(path, {"vv": noise, "vh": noise}, GRID, {"vv": "1", "vh": "1"})


def table(path):
    pq.write_table(pa.table({"a": list(range(1000))}), path)


def geopackage(path):
    with sqlite3.connect(path) as database:
        database.execute("create table t (a)")
        database.executemany("insert into t values (?)", [("x" * 500,) for _ in range(100)])
    database.close()


WRITERS = {
    "sigma0.tif": raster,
    "part.parquet": table,
    "detections.gpkg": geopackage,
    "products.json": lambda path: path.write_text('[{"name": "a"}]'),
    "map.png": lambda path: path.write_bytes(b"\x89PNG" + bytes(100) + PNG_END),
    "bulletin.html": lambda path: path.write_text("<html><body>text</body></html>\n"),
}


@pytest.fixture(params=WRITERS)
def file(request, root, tmp_path):
    path = root / "stage" / "asset" / f"acquisition_date={DAY}" / request.param
    path.parent.mkdir(parents=True)
    WRITERS[request.param](tmp_path / request.param)
    path.write_bytes((tmp_path / request.param).read_bytes())
    return path


def test_a_whole_file_is_readable(file, root):
    assert unreadable_files(root, [DAY]) == (1, [])


@pytest.mark.parametrize("share", [0.0, 0.6, 0.95])
def test_a_file_that_was_cut_off_is_named(file, root, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    count, ((path, reason),) = unreadable_files(root, [DAY])
    assert (count, path) == (1, file)
    assert reason


def test_other_dates_are_not_looked_at(file, root):
    file.write_bytes(b"")
    assert unreadable_files(root, ["2018-01-15"]) == (0, [])


def test_files_of_other_kinds_only_have_to_hold_something(root):
    (root / "style.qml").write_text("x")
    assert why_unreadable(root / "style.qml") == ""
