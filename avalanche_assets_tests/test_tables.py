from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shapely.geometry import Polygon, box

from avalanche_assets import tables
from avalanche_assets.errors import TableError
from avalanche_assets.stored_path import arrow_file
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDOR_PATCHES,
    CORRIDORS,
    TRAINING_SPLIT,
    read_geotable,
    read_table,
    write_geotable,
    write_table,
)

SPLIT = pa.table(
    {
        "role": ["train", "test"],
        "acquisition_date": pa.array([date(2018, 1, 4), date(2018, 3, 1)], pa.date32()),
        "corridor_id": ["73040001", "73040001"],
    }
)


def patches() -> pa.Table:
    values = np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float16)
    values[0, :8] = np.nan
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    return pa.table(
        {
            "corridor_id": ["a", "b", "c"],
            "acquisition_date": pa.array([date(2018, 1, 4)] * 3, pa.date32()),
            "vv_star": tensor,
            "vh_star": tensor,
            "valid_fraction": pa.array([0.9, 1.0, 1.0], pa.float32()),
            "visible_fraction": pa.array([1.0, 1.0, 1.0], pa.float32()),
            "wet_snow_fraction": pa.array([0.1, None, 0.2], pa.float32()),
        },
        CORRIDOR_PATCHES,
    )


def stored_schema(path):
    with path.open("rb") as file:
        return pq.read_schema(file)


def test_table_comes_back_in_the_schema_s_order(root):
    path = root / "split.parquet"
    write_table(path, SPLIT, TRAINING_SPLIT)
    back = read_table(path, TRAINING_SPLIT)
    assert back.column_names == TRAINING_SPLIT.names
    assert back.to_pylist() == SPLIT.select(TRAINING_SPLIT.names).to_pylist()


def test_patches_come_back_bit_for_bit_with_nan_and_null(root):
    path = root / "acquisition_date=2018-01-04" / "part.parquet"
    write_table(path, patches(), CORRIDOR_PATCHES)
    back = read_table(path, CORRIDOR_PATCHES)
    assert back.schema.equals(CORRIDOR_PATCHES)
    stored = back.column("vv_star").combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(stored, patches().column("vv_star").combine_chunks().to_numpy_ndarray())
    assert back.column("wet_snow_fraction").to_pylist()[1] is None


def test_units_and_meaning_travel_in_the_file(root):
    path = root / "part.parquet"
    write_table(path, patches(), CORRIDOR_PATCHES)
    metadata = stored_schema(path).field("vv_star").metadata
    assert metadata[b"unit"] == b"dB"
    assert b"backscatter" in metadata[b"meaning"]


def test_single_columns_can_be_read(root):
    path = root / "part.parquet"
    write_table(path, patches(), CORRIDOR_PATCHES)
    assert read_table(path, CORRIDOR_PATCHES, ["corridor_id"]).column_names == ["corridor_id"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (SPLIT.drop_columns("role"), "column 'role' is missing"),
        (SPLIT.append_column("extra", pa.array([1, 2])), r"columns \['extra'\] are not in"),
        (SPLIT.set_column(0, "role", pa.array([1, 2])), "column 'role' is int64, expected string"),
    ],
)
def test_table_off_its_schema_is_refused_and_the_old_one_kept(table, message, root):
    path = root / "split.parquet"
    write_table(path, SPLIT, TRAINING_SPLIT)
    with pytest.raises(TableError, match=rf"split\.parquet: {message}"):
        write_table(path, table, TRAINING_SPLIT)
    assert read_table(path, TRAINING_SPLIT).num_rows == 2


def test_missing_damaged_and_foreign_files_are_named(root):
    with pytest.raises(TableError, match=r"none\.parquet: table is missing; materialise"):
        read_table(root / "none.parquet", TRAINING_SPLIT)
    damaged = root / "damaged.parquet"
    write_table(damaged, SPLIT, TRAINING_SPLIT)
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(TableError, match=r"damaged\.parquet: not a readable Parquet file"):
        read_table(damaged, TRAINING_SPLIT)
    foreign = root / "foreign.parquet"
    write_table(foreign, SPLIT, TRAINING_SPLIT)
    with pytest.raises(TableError, match=r"foreign\.parquet: column 'previous_date' is missing"):
        read_table(foreign, ANOMALY_SCORES)


def corridors() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {
            "corridor_id": ["38002002", "73040007"],
            "name": ["Le Ravin", "L'Arc"],
            "massif_id": [8, 11],
            "massif": ["Belledonne", "Haute-Maurienne"],
            "observed": [True, False],
            "observation": ["watched", "lost"],
            "observed_until": pd.Series([None, None], dtype=object),
            "deposit_x": [512_010.0, 513_010.0],
            "deposit_y": [5_119_990.0, 5_118_990.0],
            "deposit_elevation_m": [1450.5, np.nan],
            "top_elevation_m": [2300.0, np.nan],
            "area_m2": [260_000.0, 1.0],
        },
        geometry=[box(512_000.0, 5_119_000.0, 512_500.0, 5_120_000.0), Polygon()],
        crs="EPSG:32632",
    )


def test_geotable_comes_back_with_geometry_and_coordinate_system(root):
    path = root / "corridors.parquet"
    write_geotable(path, corridors(), CORRIDORS)
    back = read_geotable(path, CORRIDORS)
    assert back.crs == "EPSG:32632"
    assert back.geometry.geom_equals(corridors().geometry).all()
    assert back["corridor_id"].tolist() == ["38002002", "73040007"]
    assert back["deposit_elevation_m"].dtype == np.float32
    assert b"1.1.0" in stored_schema(path).metadata[b"geo"]
    assert stored_schema(path).field("area_m2").metadata[b"unit"] == b"m2"


def test_geotable_off_its_schema_is_refused(root):
    path = root / "corridors.parquet"
    with pytest.raises(TableError, match=r"columns \['observed'\] are missing"):
        write_geotable(path, corridors().drop(columns="observed"), CORRIDORS)
    with pytest.raises(TableError, match="column 'massif_id' is not int16"):
        write_geotable(path, corridors().assign(massif_id="x"), CORRIDORS)
    with pytest.raises(TableError, match="table is missing"):
        read_geotable(path, CORRIDORS)
    assert not path.exists()


def test_every_column_of_every_schema_has_a_unit_and_a_meaning():
    schemas = {name: value for name, value in vars(tables).items() if isinstance(value, pa.Schema)}
    assert len(schemas) >= 10
    for name, schema in schemas.items():
        for field in schema:
            assert field.metadata, f"{name}.{field.name}"
            assert field.metadata[b"unit"], f"{name}.{field.name}"
            assert len(field.metadata[b"meaning"]) > 3, f"{name}.{field.name}"


def test_folder_of_dates_reads_as_one_dataset_by_other_tools(root):
    days = (date(2018, 1, 3), date(2018, 1, 9))
    for day in days:
        rows = dict.fromkeys(ANOMALY_SCORES.names) | {
            "corridor_id": "73040001",
            "acquisition_date": day,
            "detector": "vae",
            "observable": False,
        }
        path = root / f"acquisition_date={day}" / "part.parquet"
        write_table(path, pa.Table.from_pylist([rows], ANOMALY_SCORES), ANOMALY_SCORES)
        assert read_table(path, ANOMALY_SCORES)["acquisition_date"].to_pylist() == [day]
        assert read_table(path, ANOMALY_SCORES, ["acquisition_date"]).num_rows == 1
    name, filesystem = arrow_file(root)
    table = pq.read_table(name, filesystem=filesystem)
    assert sorted(str(day) for day in table.to_pandas()["acquisition_date"]) == [str(d) for d in days]


def test_row_of_another_date_than_its_folder_is_refused(root):
    rows = dict.fromkeys(ANOMALY_SCORES.names) | {"acquisition_date": date(2018, 1, 3)}
    table = pa.Table.from_pylist([rows], ANOMALY_SCORES)
    with pytest.raises(TableError, match="do not belong into this folder"):
        write_table(root / "acquisition_date=2018-01-09" / "part.parquet", table, ANOMALY_SCORES)


def test_old_table_that_lacks_a_column_names_the_code_that_wrote_it(root, monkeypatch):
    grown = SPLIT.schema.append(tables.column("reason", pa.string(), "why the role"))
    monkeypatch.setattr(tables, "version", lambda name: "0.0.7")
    write_table(root / "split.parquet", SPLIT, TRAINING_SPLIT)
    write_geotable(root / "corridors.parquet", corridors(), CORRIDORS)
    with (root / "foreign.parquet").open("wb") as file:
        pq.write_table(SPLIT, file)
    monkeypatch.setattr(tables, "version", lambda name: "0.2.0")
    told = r"column 'reason' is missing; written by version 0\.0\.7 of the code, this is 0\.2\.0; materialise"
    with pytest.raises(TableError, match=rf"split\.parquet: {told}"):
        read_table(root / "split.parquet", grown)
    with pytest.raises(TableError, match=rf"corridors\.parquet: {told}"):
        read_geotable(root / "corridors.parquet", pa.schema([*CORRIDORS, grown.field("reason")]))
    with pytest.raises(TableError, match=r"written by a version before 0\.1\.0 that left no name"):
        read_table(root / "foreign.parquet", grown)


def test_tables_of_two_code_versions_are_equal(root, monkeypatch):
    for number in ("1", "2"):
        monkeypatch.setattr(tables, "version", lambda name, number=number: number)
        write_table(root / number, SPLIT, TRAINING_SPLIT)
        assert stored_schema(root / number).metadata[tables.CODE_VERSION] == number.encode()
    assert read_table(root / "1", TRAINING_SPLIT).equals(
        read_table(root / "2", TRAINING_SPLIT), check_metadata=True
    )


def test_patches_lie_in_row_groups_of_256_and_other_tables_in_one(root):
    many = pa.concat_tables([patches()] * 200)
    write_table(root / "many.parquet", many, CORRIDOR_PATCHES)
    with tables.open_table(root / "many.parquet", CORRIDOR_PATCHES) as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [256, 256, 88]
    write_table(root / "split.parquet", pa.concat_tables([SPLIT] * 200), TRAINING_SPLIT)
    with tables.open_table(root / "split.parquet", TRAINING_SPLIT) as file:
        assert file.num_row_groups == 1
