"""A season by three Celery workers, of which one is killed in mid-date, is the season of a single process.

PostgreSQL, Redis, code server, daemon, web server and workers are processes of their own, started by the
commands of deploy/celery. While the season is backfilled a new date is delivered.
"""

import shutil
from types import SimpleNamespace

import pytest
from celery_stack import celery_stack

from avalanche_assets.files import sha256
from avalanche_assets.settings import load_settings

pytestmark = pytest.mark.integration

GROUND = ["dem", "slope_aspect", "track_geometry", "corridors", "avalanche_events", "terrain_patches"]
OF_DATES = ["s1_products", "orbit_files", "sigma0"]
SEASONAL = ["reference_sigma0", "vv_vh_star", "corridor_patches", "corridor_labels"]
WINTER = 3


@pytest.fixture(scope="module")
def season(tiny_season, tmp_path_factory):
    """The first dates of the tiny season delivered, the next one still to come, nothing made."""
    folder = tmp_path_factory.mktemp("season")
    for name in ("inventory", "orbits"):
        shutil.copytree(tiny_season.folder / name, folder / name)
    for name in ("dem.tif", tiny_season.settings_file.name):
        shutil.copy(tiny_season.folder / name, folder)
    winter = tiny_season.catalogue.dates("winter")
    days = tiny_season.catalogue.dates("reference") + winter[:WINTER]
    for place in ("products", "later"):
        (folder / place).mkdir()
    for product in (tiny_season.folder / "products").iterdir():
        for place, delivered in (("products", days), ("later", [winter[WINTER]])):
            if any(f"_{day.replace('-', '')}T" in product.name for day in delivered):
                (folder / place / product.name).symlink_to(product)
    settings = folder / tiny_season.settings_file.name
    return SimpleNamespace(
        folder=folder,
        settings=settings,
        layout=load_settings(settings).layout,
        days=days,
        winter=winter[:WINTER],
        new=winter[WINTER],
        whole=tiny_season,
    )


def catalogue(client, days):
    """Materialises the catalogue on a worker, which makes the code location load again."""
    assert client.wait_for_run(client.materialise("acquisition_catalogue")) == "SUCCESS"
    client.wait("partitions", lambda: client.partitions("sigma0") == days, 60)


@pytest.fixture(scope="module")
def worked(season, tmp_path_factory):
    """What happened: backfill, a worker killed in mid-date, a date that came meanwhile."""
    with celery_stack(season.settings, tmp_path_factory.mktemp("stack"), workers=3) as stack:
        client = stack.client
        catalogue(client, season.days)
        backfill = client.backfill_everything(GROUND + OF_DATES + SEASONAL)

        def killed():
            for run in client.runs(backfill=backfill):
                if run["status"] == "STARTED" and run["tags"].get("partition") in season.winter:
                    worker = stack.kill_worker_of(run["runId"])
                    if worker:
                        return worker, run["runId"]
            return None

        lost, victim = client.wait("a date under way", killed, 240)
        for product in (season.folder / "later").iterdir():
            product.rename(season.folder / "products" / product.name)
        catalogue(client, sorted([*season.days, season.new]))
        new = client.backfill_assets(OF_DATES, [season.new])
        new_runs = client.wait_for_runs(new, 300)
        status = client.wait_for_backfill(backfill, 400)
        seasonal = client.backfill_assets(SEASONAL[1:], [season.new])
        new_runs += client.wait_for_runs(seasonal, 300)
        yield SimpleNamespace(
            status=status,
            lost=lost,
            runs={run["runId"]: run for run in client.runs()},
            victim=victim,
            messages=client.messages(victim),
            new_runs=new_runs,
            taken={worker: stack.runs_of(worker) for worker in stack.workers},
            home={path.name for path in stack.home.iterdir()},
            dump=stack.database.run("pg_dump", "--inserts", "dagster"),
            broker=stack.broker,
        )


def test_the_backfill_ends_complete_although_a_worker_was_killed(worked):
    assert worked.status == "COMPLETED_SUCCESS"
    assert worked.runs[worked.victim]["status"] == "FAILURE"
    assert any("Its Celery worker has died" in message for message in worked.messages)


def test_the_killed_date_was_made_again_by_another_run(worked):
    again = [run for run in worked.runs.values() if run["tags"].get("parent_run_id") == worked.victim]
    assert [run["status"] for run in again] == ["SUCCESS"]
    failed = {run_id for run_id, run in worked.runs.items() if run["status"] != "SUCCESS"}
    assert failed == {worked.victim}


def test_the_surviving_workers_know_a_date_that_came_after_they_had_started(season, worked):
    assert {(run["tags"]["partition"], run["status"]) for run in worked.new_runs} == {(season.new, "SUCCESS")}


def test_every_worker_took_part(worked):
    assert min(worked.taken.values()) >= 1, worked.taken


def test_outputs_are_those_of_a_single_process(season, worked):
    whole = season.whole.layout
    for day in [*season.days, season.new]:
        assert sha256(season.layout.sigma0(day)) == sha256(whole.sigma0(day)), day
    for day in [*season.winter, season.new]:
        for asset in ("vv_vh_star", "corridor_patches", "corridor_labels"):
            made, expected = getattr(season.layout, asset)(day), getattr(whole, asset)(day)
            assert sha256(made) == sha256(expected), (asset, day)
    for asset in (
        "dem",
        "slope_aspect",
        "track_geometry",
        "corridors",
        "avalanche_events",
        "terrain_patches",
    ):
        assert sha256(getattr(season.layout, asset)) == sha256(getattr(whole, asset)), asset
    made = {
        str(path.relative_to(season.layout.root)) for path in season.layout.root.rglob("*") if path.is_file()
    }
    assert made <= set(season.whole.hashes()), "files that a single process does not leave"


def test_no_secret_is_stored(worked):
    password = worked.broker.split("@")[0].rsplit(":", 1)[1]
    assert password not in worked.dump
    assert worked.home <= {"dagster.yaml", "dagster_celery_config.py", "__pycache__", "storage"}
