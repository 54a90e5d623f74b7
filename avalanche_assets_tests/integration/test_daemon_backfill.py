"""An operator's day, through the real web server and daemon: first start, backfill, a new date.

The tests build on each other through fixtures of the module: the season grows once.
"""

import shutil
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from running_dagster import dagster_dev, local_home

from avalanche_assets.files import sha256
from avalanche_assets.layout import DataLayout
from avalanche_assets.settings import load_settings

pytestmark = pytest.mark.integration

REFERENCES = ["2017-08-18", "2017-08-24"]
WINTER = ["2018-02-02", "2018-02-14"]
NEW = "2018-02-20"
GROUND = ["dem", "slope_aspect", "track_geometry", "corridors"]
OF_DATES = ["s1_products", "orbit_files", "sigma0"]
SEASONAL = ["reference_sigma0", "vv_vh_star", "corridor_patches"]


@pytest.fixture(scope="module")
def season(tiny_season, tmp_path_factory):
    """The inputs of the tiny season, of which two references and two winter dates have been delivered."""
    folder = tmp_path_factory.mktemp("season")
    for name in ("inventory", "orbits"):
        shutil.copytree(tiny_season.folder / name, folder / name)
    for name in ("dem.tif", tiny_season.settings_file.name):
        shutil.copy(tiny_season.folder / name, folder)
    for product in (tiny_season.folder / "products").iterdir():
        delivered = any(day.replace("-", "") in product.name for day in REFERENCES + WINTER)
        place = folder / ("products" if delivered else "later")
        place.mkdir(exist_ok=True)
        (place / product.name).symlink_to(product)
    settings = folder / tiny_season.settings_file.name
    return SimpleNamespace(folder=folder, settings=settings, layout=load_settings(settings).layout)


def deliver(season, day: str) -> None:
    for product in (season.folder / "later").glob(f"*_{day.replace('-', '')}T*"):
        product.rename(season.folder / "products" / product.name)


@pytest.fixture(scope="module")
def dagster(season, tmp_path_factory):
    home = local_home(tmp_path_factory.mktemp("dagster_home"))
    with dagster_dev(home, season.settings, tmp_path_factory.mktemp("logs")) as client:
        yield client


@pytest.fixture(scope="module")
def catalogued(dagster):
    """Partitions of `sigma0` before and after `acquisition_catalogue` is materialised for the first time."""
    before = SimpleNamespace(error=dagster.load_error(), partitions=dagster.partitions("sigma0"))
    status = dagster.wait_for_run(dagster.materialise("acquisition_catalogue"))
    after = dagster.wait("partitions of the found dates", lambda: dagster.partitions("sigma0"), 60)
    return SimpleNamespace(before=before, status=status, after=after)


@pytest.fixture(scope="module")
def backfilled(dagster, catalogued):
    """The runs of a backfill of every date from products to patches."""
    backfill = dagster.backfill_assets(GROUND + OF_DATES + SEASONAL, catalogued.after)
    status = dagster.wait_for_backfill(backfill, 600)
    return SimpleNamespace(status=status, runs=dagster.runs(backfill=backfill))


@pytest.fixture(scope="module")
def grown(dagster, season, backfilled):
    """A new date delivered and backfilled; meanwhile the job of one old date is run again."""
    old = season.layout.sigma0(WINTER[0])
    before = sha256(old)
    deliver(season, NEW)
    assert dagster.wait_for_run(dagster.materialise("acquisition_catalogue")) == "SUCCESS"
    dagster.wait("partition of the new date", lambda: NEW in dagster.partitions("sigma0"), 60)
    assets = dagster.backfill_assets(OF_DATES, [NEW])
    job = dagster.backfill_job("compute_sigma0", WINTER[:1])
    return SimpleNamespace(
        asset_runs=dagster.wait_for_runs(assets, 240),
        job_runs=dagster.wait_for_runs(job, 240),
        sha256=(before, sha256(old)),
    )


def runs_with(runs, asset: str):
    return [run for run in runs if asset in run["assets"]]


def test_code_location_loads_before_any_acquisition_is_known(catalogued):
    assert catalogued.before.error is None
    assert catalogued.before.partitions == []


def test_partitions_appear_without_a_restart_when_the_catalogue_is_materialised(catalogued):
    assert catalogued.status == "SUCCESS"
    assert catalogued.after == REFERENCES + WINTER


def test_backfill_ends_without_a_failed_run(dagster, backfilled):
    assert backfilled.status == "COMPLETED_SUCCESS"
    assert {run["status"] for run in backfilled.runs} == {"SUCCESS"}


def test_backfill_stores_every_date(season, backfilled):
    layout: DataLayout = season.layout
    stored: list[Path] = [layout.sigma0(day) for day in REFERENCES + WINTER]
    stored += [layout.vv_vh_star(day) for day in WINTER] + [layout.corridor_patches(day) for day in WINTER]
    assert [path for path in stored if not path.exists()] == []


def test_dates_are_runs_of_their_own(backfilled):
    dates = defaultdict(list)
    for run in backfilled.runs:
        for asset in run["assets"]:
            dates[asset].append(run["tags"].get("partition"))
    for asset in OF_DATES:
        assert sorted(dates[asset]) == REFERENCES + WINTER, asset
    for asset in ("vv_vh_star", "corridor_patches"):
        assert sorted(dates[asset]) == WINTER, asset
    assert dates["reference_sigma0"] == ["2017-18"]
    assert all(dates[asset] == [None] for asset in GROUND)


def test_reference_runs_after_all_its_dates_and_before_the_winter_dates(backfilled):
    (reference,) = runs_with(backfilled.runs, "reference_sigma0")
    snow_free = [
        run for run in runs_with(backfilled.runs, "sigma0") if run["tags"]["partition"] in REFERENCES
    ]
    assert max(run["endTime"] for run in snow_free) <= reference["startTime"]
    star = runs_with(backfilled.runs, "vv_vh_star")
    assert reference["endTime"] <= min(run["startTime"] for run in star)


def test_sigma0_waits_for_terrain_orbit_and_corridors(backfilled):
    first = min(run["startTime"] for run in runs_with(backfilled.runs, "sigma0"))
    for asset in ("track_geometry", "corridors", "dem"):
        assert max(run["endTime"] for run in runs_with(backfilled.runs, asset)) <= first, asset


def test_a_new_date_is_found_and_processed_without_a_restart(season, grown):
    assert {(run["tags"]["partition"], run["status"]) for run in grown.asset_runs} == {(NEW, "SUCCESS")}
    assert season.layout.sigma0(NEW).exists()


def test_a_stage_job_is_backfilled_for_one_date_and_gives_the_same_bytes(grown):
    assert [(run["tags"]["partition"], run["status"]) for run in grown.job_runs] == [(WINTER[0], "SUCCESS")]
    before, after = grown.sha256
    assert after == before
