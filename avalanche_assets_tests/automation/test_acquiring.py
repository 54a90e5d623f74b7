"""When the source is asked, how many connections there are, and which dates can have a better orbit."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import yaml
from automation.operations_desk import acquisition
from dagster_graphql.schema import create_schema
from graphql import parse, validate
from loopback.server import Answer, LoopbackServer
from minimal_settings import ARCHIVE, minimal_settings

from avalanche_assets.assets.acquisition import DOWNLOADS
from avalanche_assets.automation.missing import missing_of_season
from avalanche_assets.catalogue.acquisitions import Acquisition, write_catalogue
from avalanche_assets.definitions import build_definitions
from avalanche_assets.files import write_text
from avalanche_assets.resources.code_location import CodeLocation
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]


def definitions(folder, kind="cdse"):
    path = folder / "avalanche.toml"
    path.write_text(minimal_settings(ARCHIVE.replace("cdse", kind)))
    return build_definitions(path)


@pytest.mark.parametrize(("kind", "status"), [("cdse", "RUNNING"), ("safe_folder", "STOPPED")])
def test_an_archive_is_watched_every_hour_and_a_folder_only_when_switched_on(tmp_path, kind, status):
    schedule = definitions(tmp_path, kind).get_repository_def().get_schedule_def("watch_source")
    assert schedule.default_status.value == status
    assert schedule.job_name == "find_acquisitions"
    assert schedule.cron_schedule == "23 * * * *"


def test_steps_that_download_share_one_pool(tmp_path):
    graph = definitions(tmp_path).resolve_asset_graph()
    pools = {key.to_user_string(): graph.get(key).pools for key in graph.materializable_asset_keys}
    assert {name for name, pool in pools.items() if DOWNLOADS in pool} == {"s1_products", "orbit_files"}


@pytest.mark.parametrize("file", ["local", "compose"])
def test_pool_has_the_four_connections_of_an_account(file):
    concurrency = yaml.safe_load((ROOT / "deploy" / file / "dagster.yaml").read_text())["concurrency"]
    # By op: with runs as granularity the default limit is not enforced.
    assert concurrency["pools"] == {"granularity": "op", "default_limit": 4}


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("cdse", ""), ("safe_folder", "put precise orbit files into {folder}, then ")],
)
def test_dates_that_can_have_a_precise_orbit_by_now_are_named(tmp_path, kind, advice):
    built = definitions(tmp_path, kind)
    settings = load_settings(tmp_path / "avalanche.toml")
    days = [date(2018, 1, 3), date(2018, 1, 9), datetime.now(UTC).date()]
    write_catalogue(
        settings.layout.acquisition_catalogue,
        [
            Acquisition(
                day, datetime(2018, 1, 3, tzinfo=UTC), "S1A", 1, "winter", "2017-18", "complete", ("A",)
            )
            for day in days
        ],
    )
    for day, source in zip(days, ("RESORB", "POEORB", "RESORB"), strict=True):
        orbit = Orbit(np.datetime64("2018-01-03"), np.arange(4.0), np.ones((4, 3)), source)
        write_text(settings.layout.orbit_files(day), orbit.to_json())
    check = built.get_repository_def().asset_checks_defs_by_key[
        dg.AssetCheckKey(dg.AssetKey("orbit_files"), "precise_orbits")
    ]
    result = check(pipeline=built.resources["pipeline"])
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    begin = advice.format(folder=settings.source.orbits)
    assert result.description == f"{begin}launch refine_orbit for 2018-01-03"
    job = built.get_repository_def().get_job("refine_orbit")
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert keys == {"orbit_files", "sigma0"}


def test_a_season_job_asks_for_exactly_what_is_missing():
    asked = []

    def graphql(request):
        asked.append(json.loads(request.body))
        return Answer(body=b'{"data": {"launchPartitionBackfill": {"backfillId": "abc"}}}')

    with LoopbackServer() as server:
        server.routes["/graphql"] = graphql
        location = CodeLocation(webserver=f"127.0.0.1:{server.port}")
        missing = {"dem": [None], "sigma0": ["2018-01-03", "2018-01-15"]}
        assert location.backfill(missing, "Season 2017-18", {"avalanche/season": "2017-18"}) == "abc"
    parameters = asked[0]["variables"]["parameters"]
    assert parameters["tags"] == [{"key": "avalanche/season", "value": "2017-18"}]
    assert parameters["partitionsByAssets"] == [
        {"assetKey": {"path": ["dem"]}, "partitions": None},
        {
            "assetKey": {"path": ["sigma0"]},
            "partitions": {"ranges": [{"start": day, "end": day} for day in missing["sigma0"]]},
        },
    ]
    assert validate(create_schema().graphql_schema, parse(asked[0]["query"])) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"data": {"launchPartitionBackfill": {"__typename": "UnauthorizedError"}}}', "UnauthorizedError"),
        (b'{"data": {"launchPartitionBackfill": {"__typename": "PythonError", "message": "no"}}}', "no"),
        (b"<html>", "JSONDecodeError"),
    ],
)
def test_a_backfill_that_is_not_started_fails_the_job_with_what_to_do(body, told):
    with LoopbackServer() as server:
        server.routes["/graphql"] = lambda request: Answer(body=body)
        location = CodeLocation(webserver=f"127.0.0.1:{server.port}")
        with pytest.raises(dg.Failure) as raised:
            location.backfill({"dem": [None]}, "x", {})
    assert f"no backfill was started ({told}); launch the job again" in raised.value.description


def test_withdrawn_dates_of_a_season_are_not_waited_for(tmp_path):
    definitions(tmp_path)
    settings = load_settings(tmp_path / "avalanche.toml")
    found = [
        acquisition("2018-01-03"),
        acquisition("2018-01-09", state="withdrawn"),
        acquisition("2018-12-01"),
    ]
    write_catalogue(settings.layout.acquisition_catalogue, found)
    with dg.DagsterInstance.ephemeral() as instance:
        missing = missing_of_season(tmp_path / "avalanche.toml", instance, "2017-18")
    assert missing["s1_products"] == missing["bulletin"] == ["2018-01-03"]
    assert missing["reference_sigma0"] == ["2017-18"]
    assert missing["dem"] == [None]
    assert "acquisition_catalogue" not in missing
