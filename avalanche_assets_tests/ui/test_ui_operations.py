"""What an operator does in the browser: makes one date, retries one that failed, backfills the others.

On the real web server and daemon, with a simulated season of which nothing but the catalogue is made. The
work behind each click is small: products are checked.
"""

from types import SimpleNamespace

import dagster as dg
import pytest
from browser import keep_picture, open_page
from clicks import PATIENCE_MS, backfill_runs, launch, new_run, open_dialog, shows_partitions
from playwright.sync_api import expect
from running_dagster import dagster_dev, local_home

from avalanche_assets.definitions import build_definitions
from avalanche_assets.simulation.season import simulate_season

pytestmark = pytest.mark.integration
ASSET = "s1_products"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    settings = simulate_season(tmp_path_factory.mktemp("season"), "tiny", progress=lambda line: None)
    home = local_home(tmp_path_factory.mktemp("dagster_home"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        build_definitions(settings).resolve_job_def("find_acquisitions").execute_in_process(instance=instance)
    with dagster_dev(home, settings, tmp_path_factory.mktemp("logs")) as client:
        yield SimpleNamespace(client=client, products=settings.parent / "products")


@pytest.fixture
def page():
    with open_page(1300, 900, dagster_nav_collapsed="true") as page:
        page.set_default_timeout(PATIENCE_MS)
        yield page


def test_one_date_is_made_from_its_page(page, desk):
    day = desk.client.partitions(ASSET)[0]
    assert desk.client.wait_for_run(launch(page, desk, ASSET, day), 300) == "SUCCESS"
    shows_partitions(page, desk, ASSET, "Materialized (1)", "Missing (9)")


def test_failed_date_says_what_to_do_and_is_retried_with_one_click(page, desk):
    day = desk.client.partitions(ASSET)[2]
    product = next(path for path in sorted(desk.products.iterdir()) if day.replace("-", "") in path.name)
    whole = product.read_bytes()
    product.write_bytes(whole[: len(whole) // 2])
    failed = launch(page, desk, ASSET, day)
    assert desk.client.wait_for_run(failed, 300) == "FAILURE"
    page.goto(f"{desk.client.url}/runs/{failed}")
    reason = page.get_by_text("not a complete zip").first
    expect(reason).to_be_visible(timeout=PATIENCE_MS)
    assert product.name in reason.inner_text()
    assert "download it again" in reason.inner_text()
    keep_picture(page, "ui_failed", height=330)

    product.write_bytes(whole)
    page.get_by_role("button", name="Re-execute").first.click()
    again = new_run(desk, day, {failed})
    assert desk.client.wait_for_run(again, 300) == "SUCCESS"
    page.goto(f"{desk.client.url}/runs/{again}")
    expect(page.get_by_text("Success").first).to_be_visible(timeout=PATIENCE_MS)
    shows_partitions(page, desk, ASSET, "Failed (0)")


def test_backfill_of_what_is_missing_is_launched_and_watched(page, desk):
    missing = set(desk.client.partitions(ASSET)) - {
        run["tags"]["partition"]
        for run in desk.client.runs()
        if run["status"] == "SUCCESS" and "partition" in run["tags"]
    }
    open_dialog(page, desk, ASSET)
    page.get_by_role("button", name="Missing", exact=True).click()
    expect(page.get_by_text(f"{len(missing)} partitions").first).to_be_visible()
    page.get_by_role("button", name="Launch backfill").click()
    runs = desk.client.wait("runs of the backfill", lambda: backfill_runs(desk), 240)
    backfill = runs[0]["tags"]["backfill"]
    page.goto(f"{desk.client.url}/runs/b/{backfill}")
    expect(page.get_by_text(ASSET).first).to_be_visible(timeout=PATIENCE_MS)
    keep_picture(page, "ui_backfill")
    assert desk.client.wait_for_backfill(backfill, 900) == "COMPLETED_SUCCESS"
    page.reload()
    expect(page.get_by_text("Completed").first).to_be_visible(timeout=PATIENCE_MS)
    assert {run["tags"]["partition"] for run in desk.client.runs(backfill=backfill)} == missing
    shows_partitions(page, desk, ASSET, "Missing (0)", "Materialized (10)")
    keep_picture(page, "ui_partitions")
