"""What is tried again by itself, when, and how often."""

import itertools
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from automation.failed_runs import AWAY, DAMAGED, fail

from avalanche_assets.automation.retries import ATTEMPT, COMMAND_LINE, DELAYS, try_again_later
from avalanche_assets.errors import OfflineError

ASSETS = ("s1_products", "sigma0", "vv_vh_star")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def ask(instance, after: timedelta) -> list[dg.RunRequest]:
    """What the sensor requests some time from now."""
    specs = [dg.AssetSpec(name) for name in ASSETS]
    sensor = try_again_later(specs, running=True, now=lambda: datetime.now(UTC) + after)
    with dg.build_sensor_context(instance=instance) as context:
        return list(sensor(context))


def assets(request: dg.RunRequest) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection]


@pytest.mark.parametrize("error", [AWAY, OfflineError("a: in the archive; it has been ordered")])
def test_a_source_that_was_away_is_tried_again_after_a_while_from_where_it_failed(instance, error):
    run = fail(instance, error)
    assert ask(instance, DELAYS[0] - timedelta(minutes=1)) == []
    (request,) = ask(instance, DELAYS[0] + timedelta(minutes=1))
    assert assets(request) == ["sigma0", "vv_vh_star"]
    assert request.tags["dagster/partition"] == "2018-01-09"
    assert request.tags[ATTEMPT] == "2"
    # The daemon launches a run key once.
    assert request.run_key == f"again {run.run_id}"


def test_each_further_attempt_waits_longer_and_the_last_is_the_end(instance):
    for number, (before, delay) in enumerate(itertools.pairwise(DELAYS), 2):
        fail(instance, AWAY, {ATTEMPT: str(number)}, day=f"2018-01-{number:02d}")
        asked = [
            r for r in ask(instance, before + timedelta(minutes=1)) if r.tags[ATTEMPT] == str(number + 1)
        ]
        assert asked == []
        asked = [r for r in ask(instance, delay + timedelta(minutes=1)) if r.tags[ATTEMPT] == str(number + 1)]
        assert len(asked) == 1
    fail(instance, AWAY, {ATTEMPT: str(len(DELAYS) + 1)}, day="2018-02-01")
    later = ask(instance, max(DELAYS) + timedelta(minutes=1))
    assert "2018-02-01" not in {request.tags["dagster/partition"] for request in later}


@pytest.mark.parametrize(
    ("error", "tags"),
    [
        (DAMAGED, {}),
        (ValueError("a bug"), {}),
        (AWAY, COMMAND_LINE),
        (AWAY, {"dagster/schedule_name": "watch_source"}),
    ],
    ids=["lasting error", "bug", "command line", "schedule"],
)
def test_what_cannot_pass_or_is_somebody_elses_is_left(instance, error, tags):
    fail(instance, error, tags)
    assert ask(instance, max(DELAYS) + timedelta(minutes=1)) == []


def test_tags_of_a_date_stay_with_it(instance):
    of_the_run = {"dagster/backfill": "abc", "dagster/root_run_id": "def"}
    ours = {"avalanche/started_by": "process_new_dates", "dagster/priority": "10"}
    fail(instance, AWAY, ours | of_the_run)
    (request,) = ask(instance, DELAYS[0] + timedelta(minutes=1))
    assert request.tags["avalanche/started_by"] == "process_new_dates"
    assert request.tags["dagster/priority"] == "10"
    assert of_the_run.keys().isdisjoint(request.tags)
