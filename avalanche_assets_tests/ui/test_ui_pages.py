"""What an operator sees in the browser: the whole lineage, and pictures in a partition's metadata."""

from fnmatch import fnmatchcase
from types import SimpleNamespace

import dagster as dg
import pytest
from browser import keep_picture, open_page
from running_dagster import dagster_webserver, local_home

from avalanche_assets.definitions import build_definitions
from avalanche_assets.simulation.season import simulate_season

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def season(tmp_path_factory):
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


def test_lineage_page_shows_every_asset_and_every_group(ui, season):
    specs = build_definitions(season.settings).resolve_all_asset_specs()
    kept = {
        "dagster_nav_collapsed": "true",
        "asset_graph_direction": '"vertical"',
        "asset_node_facets": "[]",
    }
    with open_page(2000, 1150, **kept) as page:
        page.goto(f"{ui.url}/assets/season_report?view=lineage&lineageScope=upstream&lineageDepth=15")
        page.get_by_text("s1_products").first.wait_for()
        lines = page.locator("body").inner_text().splitlines()
        keep_picture(page, "lineage")
    shown = [line.replace("…", "*") for line in lines if line.strip("…")]  # long names are cut in the middle
    names = {spec.key.to_user_string() for spec in specs} | {spec.group_name for spec in specs}
    assert [name for name in sorted(names) if not any(fnmatchcase(name, line) for line in shown)] == []


def test_partition_page_shows_the_picture_of_sigma0(ui, season):
    with open_page(1300, 960, dagster_nav_collapsed="true") as page:
        page.goto(f"{ui.url}/assets/sigma0?view=partitions&partition={season.day}")
        page.get_by_text("[Show Markdown]").first.click()
        picture = page.locator("img[src^='data:image/png']").first
        picture.wait_for()
        size = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        text = page.locator("body").inner_text()
        keep_picture(page, "sigma0_in_ui")
    assert "Materialized" in text
    assert "median VV (dB)" in text
    assert min(size) > 200
