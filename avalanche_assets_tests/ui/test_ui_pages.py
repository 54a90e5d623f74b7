"""What an operator sees in the browser: the whole lineage, and pictures in a partition's metadata."""

from fnmatch import fnmatchcase
from types import SimpleNamespace

import dagster as dg
import pytest
from headless_browser import chromium, open_browser
from make_pictures import show_lineage, show_partition_picture
from running_dagster import dagster_webserver, local_home

from avalanche_assets.definitions import build_definitions
from avalanche_assets.simulation.season import simulate_season

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def browser():
    executable = chromium()
    if executable is None:
        pytest.skip("Chromium is not installed")
    return executable


@pytest.fixture(scope="module")
def season(browser, tmp_path_factory):
    """An instance on which the first date of a simulated season is materialised up to sigma0."""
    settings = simulate_season(tmp_path_factory.mktemp("season"), "tiny", progress=lambda line: None)
    home = local_home(tmp_path_factory.mktemp("dagster_home"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        build_definitions(settings).resolve_job_def("find_acquisitions").execute_in_process(instance=instance)
        definitions = build_definitions(settings)
        day = definitions.resolve_job_def("compute_sigma0").partitions_def.get_partition_keys()[0]
        for job, partition in (("fetch_products", day), ("prepare_ground", None), ("compute_sigma0", day)):
            definitions.resolve_job_def(job).execute_in_process(instance=instance, partition_key=partition)
    return SimpleNamespace(settings=settings, home=home, day=day)


@pytest.fixture(scope="module")
def ui(season, tmp_path_factory):
    with dagster_webserver(season.home, season.settings, tmp_path_factory.mktemp("logs")) as client:
        yield client


@pytest.fixture
def page(browser):
    with open_browser(browser, 2000, 1150) as tab:
        yield tab


def test_lineage_page_shows_every_asset_and_every_group(page, ui, season):
    specs = build_definitions(season.settings).resolve_all_asset_specs()
    show_lineage(page, ui.url)
    lines = page.evaluate("document.body.innerText").splitlines()
    shown = [line.replace("…", "*") for line in lines if line.strip("…")]  # long names are cut in the middle
    names = {spec.key.to_user_string() for spec in specs} | {spec.group_name for spec in specs}
    assert [name for name in sorted(names) if not any(fnmatchcase(name, line) for line in shown)] == []


def test_partition_page_shows_the_picture_of_sigma0(page, ui, season):
    show_partition_picture(page, ui.url, f"/assets/sigma0?view=partitions&partition={season.day}")
    text = page.evaluate("document.body.innerText")
    assert "Materialized" in text
    assert "median VV (dB)" in text
    width, height = page.evaluate(
        "(i => [i.naturalWidth, i.naturalHeight])([...document.querySelectorAll('img')]"
        ".find(i => i.src.startsWith('data:image/png')))"
    )
    assert min(width, height) > 200
