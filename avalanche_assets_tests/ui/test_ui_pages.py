"""What an operator sees in the browser: the whole lineage, and pictures in a partition's metadata."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from browser import keep_picture, open_page
from running_dagster import dagster_webserver

from avalanche_assets.definitions import build_definitions

pytestmark = pytest.mark.integration
DAY = "2018-03-16"


@pytest.fixture(scope="module")
def ui(tiny_season, tmp_path_factory):
    home = Path(tiny_season.instance.root_directory)
    with dagster_webserver(home, tiny_season.settings_file, tmp_path_factory.mktemp("logs")) as client:
        yield client


def test_lineage_page_shows_every_asset_and_every_group(ui, tiny_season):
    specs = build_definitions(tiny_season.settings_file).resolve_all_asset_specs()
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


def test_partition_page_shows_the_picture_of_sigma0(ui):
    with open_page(1300, 960, dagster_nav_collapsed="true") as page:
        page.goto(f"{ui.url}/assets/sigma0?view=partitions&partition={DAY}")
        page.get_by_text("[Show Markdown]").first.click()
        picture = page.locator("img[src^='data:image/png']").first
        picture.wait_for()
        size = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        text = page.locator("body").inner_text()
        keep_picture(page, "sigma0_in_ui")
    assert "Materialized" in text
    assert "median VV (dB)" in text
    assert min(size) > 200


def test_bulletin_is_opened_from_where_its_asset_says(ui, tiny_season):
    expected = tiny_season.layout.bulletin(DAY) / "bulletin.html"
    with open_page(1300, 960, dagster_nav_collapsed="true") as page:
        page.goto(f"{ui.url}/assets/bulletin?view=partitions&partition={DAY}")
        page.get_by_text(str(expected)).first.wait_for()
    with open_page(1280, 1180) as page:
        page.goto(expected.as_uri())
        assert page.locator("h1").inner_text().endswith("16 March 2018")
        page.get_by_role("link", name="Season report").click()
        assert "Winter 2017-18" in page.locator("h1").inner_text()
