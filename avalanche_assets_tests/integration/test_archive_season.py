"""A winter fetched from an archive: the Copernicus Data Space on this machine, with simulated products."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import tomli_w
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from finished_season import INSTANCE_FILE, Deployment
from loopback.data_space import ENVIRONMENT, serve_folder
from loopback.fake_cdse import MARK, PRODUCTS_PATH
from typer.testing import CliRunner

from avalanche_assets.automation.runner import register_season
from avalanche_assets.catalogue.verification import read_note
from avalanche_assets.cli import app
from avalanche_assets.definitions import build_definitions
from avalanche_assets.files import sha256
from avalanche_assets.services.download import CHUNK_BYTES
from avalanche_assets.settings import load_settings

pytestmark = pytest.mark.integration

DAY, OTHER = "2018-03-16", "2018-03-04"


@pytest.fixture(scope="module")
def space(tiny_season):
    with serve_folder(tiny_season.folder / "products", tiny_season.folder / "orbits") as served:
        yield served


@pytest.fixture(autouse=True)
def account(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def settings_of(tiny_season, space, folder):
    """The tiny season's settings with the archive as source, and nothing fetched yet."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tiny_season.folder / "inventory", folder / "inventory")
    shutil.copy(tiny_season.folder / "dem.tif", folder)
    content = tomllib.loads(tiny_season.settings_file.read_text())
    cdse = space.settings
    content["source"] |= {
        "kind": "cdse",
        "cdse": {name: getattr(cdse, name) for name in ("catalogue_url", "token_url", "download_url")},
        "transfer": {"first_wait_s": 0.01, "keep_free_gb": 0.0},
    }
    path = folder / tiny_season.settings_file.name
    path.write_text(tomli_w.dumps(content))
    return path


@pytest.fixture
def deployment(tiny_season, space, tmp_path):
    return Deployment(settings_of(tiny_season, space, tmp_path / "season"), dg.DagsterInstance.ephemeral())


def fetched(space) -> list[str]:
    return [request.path for request in space.server.seen if request.path.endswith("$value")]


def stale(deployment, asset, day) -> bool:
    """Whether Dagster shows a partition as stale because the products on offer are others."""
    graph = build_definitions(deployment.settings_file).resolve_asset_graph()
    context = LoadingContextForTest(deployment.instance)
    resolver = CachingStaleStatusResolver(deployment.instance, graph, context)
    causes = resolver.get_stale_causes(dg.AssetKey(asset), day)
    return any(cause.dependency_asset_key == dg.AssetKey("acquisition") for cause in causes)


def test_a_season_is_listed_fetched_and_processed_by_one_command(tiny_season, space, tmp_path, monkeypatch):
    settings = settings_of(tiny_season, space, tmp_path / "season")
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(INSTANCE_FILE, home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    result = CliRunner().invoke(app, ["season", "2017-18", str(settings)])
    assert result.exit_code == 0, result.output
    outlook, _, _ = result.output.partition("to be fetched: about")
    listed = {line.split()[0]: line for line in outlook.splitlines() if line.startswith("201")}
    for day in tiny_season.catalogue.dates():
        assert "complete" in listed[day], listed[day]
    # Every pass of the calendar is either there or said to be missing: 8 August 2017 to 27 May 2018.
    assert "missing" in listed["2017-11-04"]
    assert "Bulletins:" in result.output
    layout = load_settings(settings).layout
    for day in tiny_season.catalogue.dates():
        assert sha256(layout.sigma0(day)) == sha256(tiny_season.layout.sigma0(day)), day
    for day in tiny_season.catalogue.dates("winter"):
        assert sha256(layout.detections(day)) == sha256(tiny_season.layout.detections(day)), day
    before = len(fetched(space))
    again = CliRunner().invoke(app, ["season", "2017-18"], env={"AVALANCHE_SETTINGS": str(settings)})
    assert again.exit_code == 0, again.output
    assert "0.0 GB are to be fetched" in again.output
    assert len(fetched(space)) == before


def home_of(folder, limit):
    """A Dagster home whose pool lets through `limit` downloads at a time."""
    home = folder / "home"
    home.mkdir()
    content = yaml.safe_load(INSTANCE_FILE.read_text())
    content["concurrency"]["pools"]["default_limit"] = limit
    (home / "dagster.yaml").write_text(yaml.safe_dump(content))
    return home


FETCH = """
import sys
from pathlib import Path
import dagster as dg
from avalanche_assets.definitions import build_definitions

job = build_definitions(Path(sys.argv[1])).get_repository_def().get_job("fetch_products")
with dg.DagsterInstance.get() as instance:
    assert job.execute_in_process(instance=instance, partition_key=sys.argv[2]).success
"""


def test_all_runs_together_keep_to_the_connections_of_the_account(tiny_season, space, tmp_path):
    settings = settings_of(tiny_season, space, tmp_path / "season")
    home, limit = home_of(tmp_path, 2), 2
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert register_season(settings, instance, "2017-18").failures == {}
    space.server.most_at_once.clear()
    space.server.pause_s = 0.05
    try:
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", FETCH, settings, day],
                env=environment,
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for day in tiny_season.catalogue.dates()[:5]
        ]
        told = [run.communicate(timeout=300)[1].decode() for run in runs]
    finally:
        space.server.pause_s = 0.0
    assert [run.returncode for run in runs] == [0] * 5, told
    # As many as may, so the runs did go side by side, and no more.
    assert space.server.most_at_once[PRODUCTS_PATH] == limit


def test_a_command_that_is_killed_again_and_again_ends_with_the_same_season(tiny_season, space, tmp_path):
    settings = settings_of(tiny_season, space, tmp_path / "season")
    environment = {**os.environ, "DAGSTER_HOME": str(home_of(tmp_path, 4))}
    archive = load_settings(settings).source.folder
    names = {name for item in tiny_season.catalogue.acquisitions for name in item.products}
    paths = [space.server.product_path(entity["Id"]) for entity in space.catalogue.products]
    before = sum(space.server.served[path] for path in paths)
    command = [Path(sys.executable).with_name("avalanche"), "season", "2017-18", settings]
    space.server.pause_s = 0.02
    try:
        for count in (1, 4, 9):
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            limit = time.monotonic() + 240
            while len(list(archive.glob("*.SAFE.zip"))) < count:
                assert process.poll() is None
                assert time.monotonic() < limit, "waited in vain"
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    finally:
        space.server.pause_s = 0.0
    for name in names:
        assert not (archive / name).exists() or sha256(archive / name) == sha256(
            tiny_season.folder / "products" / name
        )
    report = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert report.returncode == 0, report.stdout + report.stderr
    layout = load_settings(settings).layout
    for day in tiny_season.catalogue.dates("winter"):
        assert sha256(layout.detections(day)) == sha256(tiny_season.layout.detections(day)), day
    wanted = sum((tiny_season.folder / "products" / name).stat().st_size for name in names)
    wanted += sum(path.stat().st_size for path in (tiny_season.folder / "orbits").rglob("*.EOF"))
    again = sum(space.server.served[path] for path in paths) - before - wanted
    print(f"3 kills: {again} of {wanted} bytes were sent twice")
    # What was on its way: less than a chunk at each kill. Orbit files that no date needs are not fetched.
    assert again <= 3 * CHUNK_BYTES


def test_products_come_verified_with_their_precise_orbit_and_nothing_secret_is_told(
    deployment, space, tiny_season, caplog
):
    with caplog.at_level(logging.DEBUG):
        assert register_season(deployment.settings_file, deployment.instance, "2017-18").failures == {}
        assert deployment.materialise("fetch_products", DAY) == ""
    archive = deployment.settings.source.folder
    for name in tiny_season.catalogue.get(DAY).products:
        assert sha256(archive / name) == sha256(tiny_season.folder / "products" / name)
        assert (archive / f"{name}.verified.json").exists()
    orbit = deployment.layout.orbit_files(DAY).read_text()
    assert orbit == tiny_season.layout.orbit_files(DAY).read_text()
    before = len(fetched(space))
    assert deployment.materialise("fetch_products", DAY) == ""
    assert len(fetched(space)) == before
    told = caplog.text + "".join(request.line for request in space.server.seen)
    made = deployment.instance.fetch_materializations(dg.AssetKey("s1_products"), limit=10)
    told += "".join(str(record.event_log_entry) for record in made.records)
    told += "".join(path.read_text() for path in deployment.folder.rglob("*.json"))
    assert MARK not in told


def test_an_md5_that_the_archive_tells_later_is_compared_with_what_was_fetched(deployment, space):
    entity = next(item for item in space.catalogue.products if item["Name"] in names_on(space, DAY))
    checksums = entity["Checksum"]
    check = dg.AssetCheckKey(dg.AssetKey("acquisition_catalogue"), "late_checksums")

    def watch():
        assert register_season(deployment.settings_file, deployment.instance, "2017-18").failures == {}
        (latest,) = deployment.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
        return latest.event.asset_check_evaluation

    try:
        entity["Checksum"] = []
        assert watch().passed
        assert deployment.materialise("fetch_products", DAY) == ""
        path = deployment.settings.source.folder / f"{entity['Name']}.zip"
        assert read_note(path).by == "manifest"
        entity["Checksum"] = [item | {"Value": "0" * 32} for item in checksums]
        told = watch()
        assert not told.passed
        assert path.name in told.description
    finally:
        entity["Checksum"] = checksums
    assert watch().passed
    assert read_note(path).by == "md5"


def names_on(space, day):
    """Names of a date's products in the archive."""
    return [
        item["Name"]
        for item in space.catalogue.products
        if day.replace("-", "") in item["Name"]
        and item["Name"].endswith(".SAFE")
        and "_COG" not in item["Name"]
    ]


def test_a_late_slice_makes_its_date_stale_down_to_the_bulletin_and_no_other(deployment, space):
    late = next(
        entity
        for entity in space.catalogue.products
        if DAY.replace("-", "") in entity["Name"] and not entity["Name"].endswith("_COG.SAFE")
    )
    space.catalogue.products.remove(late)
    try:
        register_season(deployment.settings_file, deployment.instance, "2017-18")
        before = deployment.catalogue.get(DAY)
        assert before.state == "incomplete"
        for day in (DAY, OTHER):
            assert deployment.materialise("fetch_products", day) == ""
            for asset in ("sigma0", "bulletin"):
                _pretend_made(deployment, asset, day)
        assert not any(stale(deployment, "s1_products", day) for day in (DAY, OTHER))
    finally:
        space.catalogue.products.append(late)
    register_season(deployment.settings_file, deployment.instance, "2017-18")
    after = deployment.catalogue.get(DAY)
    assert (after.date, after.state) == (before.date, "complete")
    assert after.version != before.version
    assert stale(deployment, "s1_products", DAY)
    assert stale(deployment, "bulletin", DAY)
    assert not stale(deployment, "s1_products", OTHER)
    assert not stale(deployment, "bulletin", OTHER)
    assert deployment.materialise("fetch_products", DAY) == ""
    assert not stale(deployment, "s1_products", DAY)


def test_a_late_previous_date_makes_the_next_one_stale_down_to_the_bulletin(deployment, space, tiny_season):
    late = str(tiny_season.catalogue.previous(DAY).date)
    earlier = str(tiny_season.catalogue.previous(late).date)
    held_back = [
        entity for entity in space.catalogue.products if f"_{late.replace('-', '')}T" in entity["Name"]
    ]
    assert held_back
    for entity in held_back:
        space.catalogue.products.remove(entity)
    try:
        register_season(deployment.settings_file, deployment.instance, "2017-18")
        assert str(deployment.catalogue.previous(DAY).date) == earlier
        for day in (DAY, earlier):
            for asset in ("corridor_labels", "bulletin"):
                _pretend_made(deployment, asset, day)
        assert not stale(deployment, "bulletin", DAY)
    finally:
        space.catalogue.products.extend(held_back)
    register_season(deployment.settings_file, deployment.instance, "2017-18")
    assert str(deployment.catalogue.previous(DAY).date) == late
    assert stale(deployment, "bulletin", DAY)
    assert stale(deployment, "corridor_labels", DAY)
    assert not stale(deployment, "bulletin", earlier)


def _pretend_made(deployment, asset, day) -> None:
    """Runs a stand-in of the asset, so that what it was made from is on record."""
    graph = build_definitions(deployment.settings_file).resolve_asset_graph()
    node = graph.get(dg.AssetKey(asset))

    @dg.asset(
        key=asset,
        partitions_def=node.partitions_def,
        deps=[dg.AssetDep("acquisition")],
        code_version=node.code_version,
    )
    def stand_in() -> None: ...

    dg.materialize([stand_in], instance=deployment.instance, partition_key=day)
