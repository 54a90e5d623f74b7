"""What an operator clicks to make dates of an asset, and what the pages then show."""

from browser import keep_picture
from playwright.sync_api import expect

PATIENCE_MS = 120_000
"""Pages ask for news every few seconds, and a loaded machine is slow."""


def open_dialog(page, desk, asset):
    page.goto(f"{desk.client.url}/assets/{asset}?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    expect(page.get_by_text(f"Launch runs to materialize {asset}")).to_be_visible()


def launch(page, desk, asset, day):
    """Launches a run of one date as an operator does; the run's id."""
    known = {run["runId"] for run in desk.client.runs(partition=day)}
    open_dialog(page, desk, asset)
    page.get_by_text("Select a partition or create one").click()
    page.get_by_placeholder("Filter partitions").fill(day)
    page.get_by_text(day).locator("visible=true").last.click()
    page.keyboard.press("Escape")
    keep_picture(page, "ui_materialise")
    page.get_by_role("button", name="Launch 1 run").click()
    return new_run(desk, day, known)


def new_run(desk, day, known):
    def found():
        return [run["runId"] for run in desk.client.runs(partition=day) if run["runId"] not in known]

    return desk.client.wait(f"a run of {day}", found, 120)[0]


def shows_partitions(page, desk, asset, *counts):
    page.goto(f"{desk.client.url}/assets/{asset}?view=partitions")
    for count in counts:
        expect(page.get_by_text(count)).to_be_visible(timeout=PATIENCE_MS)


def backfill_runs(desk):
    return [run for run in desk.client.runs() if "backfill" in run["tags"]]
