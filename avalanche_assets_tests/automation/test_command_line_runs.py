"""Runs from the command line: one at a time, and none left behind by a killed one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from automation.operations_desk import OperationsDesk, acquisition
from dagster._core.test_utils import create_run_for_test
from filelock import FileLock
from loopback.server import Answer, LoopbackServer
from minimal_settings import ARCHIVE, AREA, minimal_settings
from running_dagster import free_port
from typer.testing import CliRunner

from avalanche_assets.automation.missing import missing_of_season
from avalanche_assets.automation.runner import COMMAND_LINE, materialise_missing, register_season
from avalanche_assets.automation.stages import STAGES
from avalanche_assets.catalogue import sources
from avalanche_assets.catalogue.acquisitions import SourceListing
from avalanche_assets.cli import app
from avalanche_assets.errors import AccountError, CatalogueError, DiskError, SettingsError
from avalanche_assets.services.http_service import HttpService
from avalanche_assets.settings import TransferSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "avalanche.toml"
    path.write_text(minimal_settings(AREA))
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


def test_what_is_no_season_is_told_before_anybody_is_asked(settings):
    with dg.instance_for_test() as instance:
        with pytest.raises(CatalogueError, match="'2017-19': write two consecutive years"):
            register_season(settings, instance, "2017-19")
        assert instance.get_runs_count() == 0


def test_the_settings_of_the_environment_need_not_be_named_again(settings, tmp_path):
    environment = {"DAGSTER_HOME": str(tmp_path), "AVALANCHE_SETTINGS": str(settings)}
    result = CliRunner().invoke(app, ["season", "2017-18", "--list"], env=environment)
    assert result.exit_code == 1
    assert f"{tmp_path / 'products'}: folder not found" in result.output


@pytest.mark.integration
def test_whoever_waits_for_an_archive_is_told_what_is_tried_again(tmp_path):
    source = f"""{ARCHIVE}
cdse.catalogue_url = "http://127.0.0.1:{free_port()}"
transfer.attempts = 2
transfer.first_wait_s = 0.1
"""
    settings = tmp_path / "avalanche.toml"
    settings.write_text(minimal_settings(source))
    command = [Path(sys.executable).with_name("avalanche"), "season", "2017-18", "--list", settings]
    shutil.copy(ROOT / "deploy" / "local" / "dagster.yaml", tmp_path)
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "try 2 follows" in done.stderr


def test_what_a_blocking_check_refused_is_missing_until_it_is_made_again(tmp_path):
    """Otherwise the next run would lead the date round the check that has stopped it."""
    with dg.DagsterInstance.ephemeral() as instance:
        desk = OperationsDesk(tmp_path, instance)
        desk.register(*map(acquisition, ("2017-08-18", "2018-01-03", "2018-01-09")))
        desk.prepare()
        desk.work()
        assert missing_of_season(desk.settings_file, instance, "2017-18") == {}
        desk.refuse("calibration_plausible", "sigma0", "2018-01-09")
        assert missing_of_season(desk.settings_file, instance, "2017-18") == {"sigma0": ["2018-01-09"]}
        desk.make("sigma0", "2018-01-09")
        assert missing_of_season(desk.settings_file, instance, "2017-18") == {}


def fetched_in_a_run(settings_file, monkeypatch, told):
    """What a run reports whose dates the source answers with these errors; the dates that were asked for."""
    days = ("2018-01-03", "2018-01-09", "2018-01-15")
    listed = [acquisition(day) for day in days]
    asked = []

    def offers(settings, item):
        asked.append(str(item.date))
        raise told.get(str(item.date), CatalogueError("nothing to fetch in this test"))

    monkeypatch.setattr("avalanche_assets.automation.runner.STAGES", STAGES[:2])
    monkeypatch.setattr(sources, "list_source", lambda *_: SourceListing(tuple(listed)))
    monkeypatch.setattr(sources, "open_catalogue", lambda settings: None)
    monkeypatch.setattr(sources, "offers", offers)
    report = materialise_missing(settings_file, dg.DagsterInstance.ephemeral(), lambda line: None)
    return report, asked


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_refused_product_fails_its_date_alone(settings, monkeypatch, status):
    with LoopbackServer() as server:
        server.routes["/"] = lambda request: Answer(status)
        with pytest.raises(CatalogueError) as raised:
            HttpService(TransferSettings(attempts=1)).json(f"{server.url}/product")
    report, asked = fetched_in_a_run(settings, monkeypatch, {"2018-01-03": raised.value})
    assert asked == ["2018-01-03", "2018-01-09", "2018-01-15"]
    assert str(status) in report.failures["2018-01-03"]
    assert "check the address" in report.failures["2018-01-03"]


@pytest.mark.parametrize("error", [AccountError("a: forbidden (403)"), DiskError("/data: disk is full")])
def test_what_is_wrong_for_all_dates_stops_the_run(settings, monkeypatch, error):
    report, asked = fetched_in_a_run(settings, monkeypatch, {"2018-01-03": error})
    assert asked == ["2018-01-03"]
    assert str(error) in report.failures["2018-01-03"]
