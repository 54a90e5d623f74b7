"""A winter fetched from an archive: the Copernicus Data Space on this machine, with simulated products."""

import logging
import shutil
import tomllib

import dagster as dg
import pytest
import tomli_w
from conftest import INSTANCE_FILE, Deployment
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from loopback.data_space import ENVIRONMENT, serve_folder
from loopback.fake_cdse import MARK
from typer.testing import CliRunner

from avalanche_assets.automation.runner import register_season
from avalanche_assets.cli import app
from avalanche_assets.definitions import build_definitions
from avalanche_assets.files import sha256
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
    again = CliRunner().invoke(app, ["season", "2017-18", str(settings)])
    assert again.exit_code == 0, again.output
    assert "0.0 GB are to be fetched" in again.output
    assert len(fetched(space)) == before


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
