"""Runs from the command line: one at a time, and none left behind by a killed one."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from filelock import FileLock

from avalanche_assets.automation.runner import COMMAND_LINE, register_season
from avalanche_assets.errors import SettingsError

SETTINGS = """
data_root = "data"
[source]
folder = "products"
area = [5.4, 43.9, 7.8, 46.5]
[terrain]
dem = "dem.tif"
vertical_datum = "ellipsoidal"
[inventory]
corridors = "corridors.gpkg"
events = "events.csv"
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "avalanche.toml"
    path.write_text(SETTINGS)
    return path


def test_runs_of_a_killed_command_are_ended_and_others_left_alone(settings):
    with dg.instance_for_test() as instance:
        status = dg.DagsterRunStatus.STARTED
        dead = create_run_for_test(instance, tags=COMMAND_LINE, status=status)
        other = create_run_for_test(instance, status=status)
        register_season(settings, instance, "2017-18")
        assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(other.run_id).status == status


def test_two_commands_on_one_instance_are_refused(settings):
    with (
        dg.instance_for_test() as instance,
        FileLock(Path(instance.root_directory) / "command_line.lock"),
        pytest.raises(SettingsError, match="another run from the command line is at work"),
    ):
        register_season(settings, instance, "2017-18")
