"""The end of the chain in the browser: bulletins are made, opened, retried after a failure, backfilled."""

from types import SimpleNamespace

import dagster as dg
import pytest
from browser import open_page
from clicks import PATIENCE_MS, backfill_runs, launch, new_run, open_dialog, shows_partitions
from finished_season import remember
from playwright.sync_api import expect
from running_dagster import dagster_dev, local_home

pytestmark = pytest.mark.integration
ASSET = "bulletin"


@pytest.fixture(scope="module")
def desk(tiny_season, tmp_path_factory):
    """The finished season without the bulletins of its last five dates."""
    days = tiny_season.catalogue.dates("winter")[-5:]
    folder = tmp_path_factory.mktemp("season")
    copied = tiny_season.copy(folder, lambda asset, partition: asset == ASSET and partition in days)
    home = local_home(tmp_path_factory.mktemp("dagster_home"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        remember(copied, instance)
    with dagster_dev(home, copied.settings_file, tmp_path_factory.mktemp("logs")) as client:
        yield SimpleNamespace(client=client, days=days, layout=copied.layout)


@pytest.fixture
def page():
    with open_page(1300, 900, dagster_nav_collapsed="true") as page:
        page.set_default_timeout(PATIENCE_MS)
        yield page


def test_bulletin_is_made_and_opened(page, desk):
    day = desk.days[0]
    assert desk.client.wait_for_run(launch(page, desk, ASSET, day), 300) == "SUCCESS"
    place = desk.layout.bulletin(day) / "bulletin.html"
    page.goto(f"{desk.client.url}/assets/{ASSET}?view=partitions&partition={day}")
    expect(page.get_by_text(str(place)).first).to_be_visible(timeout=PATIENCE_MS)
    page.goto(place.as_uri())
    expect(page.locator(".map")).to_be_visible()


def test_bulletin_that_failed_is_retried_with_one_click(page, desk):
    day = desk.days[1]
    table = desk.layout.detections(day)
    whole = table.read_bytes()
    table.write_bytes(whole[:100])
    failed = launch(page, desk, ASSET, day)
    assert desk.client.wait_for_run(failed, 300) == "FAILURE"
    table.write_bytes(whole)
    page.goto(f"{desk.client.url}/runs/{failed}")
    page.get_by_role("button", name="Re-execute").first.click()
    assert desk.client.wait_for_run(new_run(desk, day, {failed}), 300) == "SUCCESS"


def test_backfill_of_several_bulletins_is_watched_to_its_end(page, desk):
    open_dialog(page, desk, ASSET)
    page.get_by_role("button", name="Missing", exact=True).click()
    expect(page.get_by_text("3 partitions").first).to_be_visible()
    page.get_by_role("button", name="Launch backfill").click()
    runs = desk.client.wait("runs of the backfill", lambda: backfill_runs(desk), 240)
    backfill = runs[0]["tags"]["backfill"]
    page.goto(f"{desk.client.url}/runs/b/{backfill}")
    assert desk.client.wait_for_backfill(backfill, 600) == "COMPLETED_SUCCESS"
    expect(page.get_by_text("Completed").first).to_be_visible(timeout=PATIENCE_MS)
    assert {run["tags"]["partition"] for run in desk.client.runs(backfill=backfill)} == set(desk.days[2:])
    shows_partitions(page, desk, ASSET, "Missing (0)")
    assert all((desk.layout.bulletin(day) / "bulletin.html").exists() for day in desk.days)
