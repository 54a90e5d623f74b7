"""The graph of the orchestration benchmark is the real one, so that it measures what it says."""

import dagster as dg
import pytest
from automation.operations_desk import OperationsDesk, acquisition

from avalanche_assets.definitions import build_definitions
from benchmarks import hollow


@pytest.fixture
def desk(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        desk = OperationsDesk(tmp_path, instance)
        desk.register(*map(acquisition, ("2017-08-18", "2018-01-03", "2018-01-09")))
        yield desk


def test_hollow_assets_have_the_partitions_inputs_and_pools_of_the_real_ones(desk):
    real = build_definitions(desk.settings_file).resolve_asset_graph()
    empty = hollow.build(desk.settings_file).resolve_asset_graph()
    assert empty.materializable_asset_keys == real.materializable_asset_keys
    for key in real.materializable_asset_keys:
        ours, theirs = empty.get(key), real.get(key)
        assert ours.partitions_def == theirs.partitions_def, key
        assert ours.partition_mappings == theirs.partition_mappings, key
        assert ours.parent_keys == theirs.parent_keys, key
        assert ours.pools == theirs.pools, key


def test_a_hollow_season_is_made_stage_by_stage(desk):
    repository = hollow.build(desk.settings_file).get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert {"find_acquisitions", "fetch_products", "compute_sigma0", "detect", "report_season"} <= jobs
