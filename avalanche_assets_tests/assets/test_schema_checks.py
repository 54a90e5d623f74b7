"""Stored tables that another version of the code wrote are named before anything reads them."""

from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avalanche_assets import tables
from avalanche_assets.assets.schema_checks import STORED, schema_checks
from avalanche_assets.catalogue.acquisitions import Acquisition, write_catalogue
from avalanche_assets.definitions import build_definitions
from avalanche_assets.layout import DataLayout
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.tables import CORRIDOR_LABELS, TRAINING_SPLIT, write_table

SETTINGS = """
data_root = "data"
[source]
folder = "products"
[terrain]
dem = "dem.tif"
vertical_datum = "ellipsoidal"
[inventory]
corridors = "c.gpkg"
events = "e.csv"
"""
DAYS = [datetime(2018, 1, day, 5, 43, tzinfo=UTC) for day in (3, 9, 15)]


@pytest.fixture
def layout(tmp_path) -> DataLayout:
    (tmp_path / "avalanche.toml").write_text(SETTINGS)
    layout = DataLayout(tmp_path / "data")
    write_catalogue(
        layout.acquisition_catalogue,
        [Acquisition(at.date(), at, "S1A", 20000, "winter", "2017-18", "complete", ()) for at in DAYS],
    )
    return layout


def looked_at(layout: DataLayout, asset: str) -> dg.AssetCheckEvaluation:
    """The check as the UI's button runs it."""
    settings = layout.root.parent / "avalanche.toml"
    job = dg.Definitions(
        asset_checks=schema_checks({asset}), resources={"pipeline": Pipeline(settings_file=str(settings))}
    ).resolve_implicit_global_asset_job_def()
    (found,) = job.execute_in_process().get_asset_check_evaluations()
    return found


def labels(layout: DataLayout, at: datetime) -> None:
    rows = dict.fromkeys(CORRIDOR_LABELS.names) | {"corridor_id": "a", "acquisition_date": at.date()}
    write_table(
        layout.corridor_labels(at.date()), pa.Table.from_pylist([rows], CORRIDOR_LABELS), CORRIDOR_LABELS
    )


def test_tables_of_this_code_pass_and_missing_dates_are_no_fault(layout, monkeypatch):
    monkeypatch.setattr(tables, "version", lambda name: "0.2.0")
    labels(layout, DAYS[0])
    labels(layout, DAYS[2])
    found = looked_at(layout, "corridor_labels")
    assert found.passed
    assert found.metadata["tables"].value == 2
    assert found.metadata["written by"].value == "version 0.2.0"


def test_old_date_is_named_with_its_column_and_the_code_that_wrote_it(layout, monkeypatch):
    for at in DAYS:
        labels(layout, at)
    old = layout.corridor_labels(DAYS[1].date())
    table = pq.read_table(old, partitioning=None).drop_columns("recent")
    metadata = {tables.CODE_VERSION: b"0.0.7"}
    pq.write_table(table.replace_schema_metadata(metadata), old)
    found = looked_at(layout, "corridor_labels")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert found.description == "1 of 3 tables do not follow it"
    problem = found.metadata["problems, first 20"].value
    assert "acquisition_date=2018-01-09" in problem
    assert "column 'recent' is missing; written by version 0.0.7 of the code" in problem


def test_damaged_table_is_a_problem_and_not_a_crash(layout):
    write_table(layout.training_split, TRAINING_SPLIT.empty_table(), TRAINING_SPLIT)
    layout.training_split.write_bytes(b"PAR1")
    found = looked_at(layout, "training_split")
    assert not found.passed
    assert "not a readable Parquet file" in found.metadata["problems, first 20"].value


def test_every_asset_that_stores_a_table_has_the_check(layout):
    definitions = build_definitions(layout.root.parent / "avalanche.toml")
    graph = definitions.resolve_asset_graph()
    checked = {key.asset_key.to_user_string() for key in graph.asset_check_keys if key.name == "schema"}
    assert checked == set(STORED)
    ground = definitions.resolve_job_def("prepare_ground")
    assert {"corridors_schema", "avalanche_events_schema", "terrain_patches_schema"} <= {
        node.name for node in ground.graph.nodes
    }


def test_checks_run_with_the_asset(layout):
    """Both in one run: the check sees what the asset has just written."""

    @dg.asset(name="training_split")
    def stored(pipeline: Pipeline) -> None:
        write_table(pipeline.layout.training_split, TRAINING_SPLIT.empty_table(), TRAINING_SPLIT)

    settings = layout.root.parent / "avalanche.toml"
    result = dg.materialize(
        [stored, *schema_checks({"training_split"})],
        resources={"pipeline": Pipeline(settings_file=str(settings))},
    )
    (found,) = result.get_asset_check_evaluations()
    assert found.passed
    assert found.metadata["tables"].value == 1
