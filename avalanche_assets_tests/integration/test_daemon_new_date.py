"""A date appears in the source, and its bulletin comes without a hand: through the real daemon and sensor."""

import json
import shutil
from types import SimpleNamespace

import dagster as dg
import pytest
from finished_season import remember
from running_dagster import REPOSITORY, dagster_dev, local_home

from avalanche_assets.catalogue.acquisitions import write_catalogue
from avalanche_assets.files import sha256

pytestmark = pytest.mark.integration

SENSOR = "process_new_dates"


@pytest.fixture
def season_desk(tiny_season, tmp_path_factory):
    return unfinished(tiny_season, tmp_path_factory)


@pytest.fixture(scope="module")
def desk(tiny_season, tmp_path_factory):
    return unfinished(tiny_season, tmp_path_factory)


def unfinished(tiny_season, tmp_path_factory):
    """The finished tiny season but for its last date, whose product has not been delivered yet."""
    new = tiny_season.catalogue.dates("winter")[-1]
    folder = tmp_path_factory.mktemp("desk")
    copied = tiny_season.copy(folder, lambda asset, partition: partition == new)
    known = [item for item in copied.catalogue.acquisitions if str(item.date) != new]
    write_catalogue(copied.layout.acquisition_catalogue, known)
    (folder / "later").mkdir()
    for product in (folder / "products").glob(f"*_{new.replace('-', '')}T*"):
        product.rename(folder / "later" / product.name)
    home = local_home(tmp_path_factory.mktemp("home") / "dagster_home")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        remember(copied, instance)
    return SimpleNamespace(new=new, folder=folder, home=home, copied=copied)


@pytest.fixture(scope="module")
def arrived(desk, tmp_path_factory):
    """The sensor switched on, the product delivered, the source asked; then nothing but waiting."""
    layout = desk.copied.layout
    before = {day: sha256(layout.sigma0(day)) for day in desk.copied.catalogue.dates("winter")}
    models = sha256(layout.thresholds)
    with dagster_dev(desk.home, desk.copied.settings_file, tmp_path_factory.mktemp("logs")) as client:
        switched_on = switch(client, "start")
        for product in (desk.folder / "later").iterdir():
            shutil.move(product, desk.folder / "products" / product.name)
        assert client.wait_for_run(client.materialise("acquisition_catalogue")) == "SUCCESS"
        client.wait("the bulletin", lambda: ended(client, desk.new), 600)
        client.wait("the season's report", lambda: ended(client, "2017-18"), 240)
        runs = automatic(client)
        paused = switch(client, "stop")
    return SimpleNamespace(before=before, models=models, runs=runs, states=(switched_on, paused))


def switch(client, way: str) -> str:
    """The click on the sensor's toggle; its new status."""
    if way == "start":
        answer = client.query(
            """mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
                 ... on Sensor { id sensorState { status } } } }""",
            selector={**REPOSITORY, "sensorName": SENSOR},
        )["startSensor"]
        return answer["sensorState"]["status"]
    found = client.query(
        """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
             ... on Sensor { sensorState { id } } } }""",
        selector={**REPOSITORY, "sensorName": SENSOR},
    )["sensorOrError"]
    return client.query(
        """mutation($id: String!) { stopSensor(id: $id) {
             ... on StopSensorMutationResult { instigationState { status } } } }""",
        id=found["sensorState"]["id"],
    )["stopSensor"]["instigationState"]["status"]


def automatic(client):
    return [run for run in client.runs() if run["tags"].get("avalanche/started_by") == SENSOR]


def ended(client, partition):
    runs = [run for run in automatic(client) if run["tags"]["partition"] == partition]
    assert all(run["status"] != "FAILURE" for run in runs), runs
    return [run for run in runs if run["status"] == "SUCCESS"]


def test_one_click_starts_and_one_click_pauses(arrived):
    assert arrived.states == ("RUNNING", "STOPPED")


def test_a_new_date_becomes_a_bulletin_in_one_run(desk, arrived):
    (run,) = [run for run in arrived.runs if run["tags"]["partition"] == desk.new]
    assert {"s1_products", "sigma0", "corridor_patches", "anomaly_scores", "bulletin"} <= run["assets"]
    assert (desk.copied.layout.bulletin(desk.new) / "bulletin.html").exists()


def test_nothing_but_the_new_date_and_the_season_report_is_made(desk, arrived):
    assert {run["tags"]["partition"] for run in arrived.runs} == {desk.new, "2017-18"}
    layout = desk.copied.layout
    assert {day: sha256(layout.sigma0(day)) for day in arrived.before} == arrived.before
    assert sha256(layout.thresholds) == arrived.models


def test_the_season_report_follows(arrived):
    (run,) = [run for run in arrived.runs if run["tags"]["partition"] == "2017-18"]
    assert run["assets"] == {"season_report"}


def register_season(client) -> dict[str, str]:
    """Launches the job; what the catalogue tells of itself then."""
    config = {"ops": {"acquisition_catalogue": {"config": {"season": "2017-18"}}}}
    answer = client.query(
        """mutation($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
             ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        parameters={
            "selector": {**REPOSITORY, "pipelineName": "register_season"},
            "mode": "default",
            "runConfigData": json.dumps(config),
        },
    )
    run = answer["launchRun"]["run"]["runId"]
    assert client.wait_for_run(run) == "SUCCESS", client.messages(run)
    assert any("Season 2017-18" in message for message in client.messages(run))
    entries = client.query(
        """{ assetOrError(assetKey: {path: ["acquisition_catalogue"]}) { ... on Asset {
             assetMaterializations(limit: 1) { metadataEntries { label
               ... on TextMetadataEntry { text } ... on IntMetadataEntry { intValue }
               ... on MarkdownMetadataEntry { mdStr } } } } } }"""
    )["assetOrError"]["assetMaterializations"][0]["metadataEntries"]
    return {
        entry["label"]: entry.get("text") or entry.get("mdStr") or entry.get("intValue") for entry in entries
    }


def test_the_job_register_season_shows_the_calendar_and_backfills_what_is_missing_once(
    season_desk, tmp_path_factory
):
    desk = season_desk
    for product in (desk.folder / "later").iterdir():
        shutil.move(product, desk.folder / "products" / product.name)
    with dagster_dev(desk.home, desk.copied.settings_file, tmp_path_factory.mktemp("logs")) as client:
        first = register_season(client)
        assert f"{desk.new}  winter" in first["season"]
        assert "2017-11-04  winter" in first["season"]
        assert "missing" in first["season"]
        assert first["bytes to fetch"] == 0
        assert first["expected time"] == "0:00:00"
        backfill, _, told = first["backfill"].partition(" ")
        assert told.startswith("started: ")
        assert register_season(client)["backfill"] == f"{backfill} is under way"
        assert client.wait_for_backfill(backfill, 600) == "COMPLETED_SUCCESS"
        assert register_season(client)["backfill"] == "nothing is missing"
        runs = client.runs(backfill=backfill)
    assert {run["tags"]["partition"] for run in runs} == {desk.new}
    assert (desk.copied.layout.bulletin(desk.new) / "bulletin.html").exists()
