"""Trying again what failed because a source was away: the sensor `try_again_later`.

Requests and downloads are already tried again within minutes; this is for outages of hours and for products
that come out of a long-term archive. It looks at runs that the daemon executes, whoever launched them, and
makes what such a run did not get to. The command line is left to its user, and a schedule comes again anyway.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from avalanche_assets.automation.due import OBSERVED
from avalanche_assets.automation.failures import PARTITION, Failure, failure_of

ATTEMPT = "avalanche/attempt"
COMMAND_LINE = {"avalanche/started_from": "command line"}
SCHEDULE = "dagster/schedule_name"
DELAYS = (timedelta(minutes=30), timedelta(hours=1), timedelta(hours=3), timedelta(hours=8))
"""Before each further attempt. A whole night passes before somebody has to look."""
KEPT = (PARTITION, "dagster/priority")
"""Of Dagster's own tags, which tell of one run; ours all stay."""


def next_attempt(failure: Failure, run: dg.DagsterRun, ended: datetime) -> datetime | None:
    """When a failed run is tried again; None when it is not."""
    attempt = int(run.tags.get(ATTEMPT, "1"))
    by_hand = run.tags.items() >= COMMAND_LINE.items() or SCHEDULE in run.tags
    if by_hand or not failure.may_pass or attempt > len(DELAYS):
        return None
    return ended + DELAYS[attempt - 1]


def try_again_later(
    specs: list[dg.AssetSpec], *, running: bool, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> dg.SensorDefinition:
    """The sensor.

    Args:
        specs: Of all assets of the deployment.
        running: Whether it works until somebody switches it off; otherwise the other way round.
        now: The clock.
    """
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    longest = max(DELAYS) + timedelta(days=1)

    @dg.sensor(
        name="try_again_later",
        asset_selection=dg.AssetSelection.assets(*(spec.key for spec in specs if spec.key != OBSERVED)),
        default_status=status,
        minimum_interval_seconds=300,
        description=f"Tries again what failed because a source was away: {len(DELAYS)} times, after half "
        "an hour to eight hours.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now() - longest)
        for record in context.instance.get_run_records(failed):
            run = record.dagster_run
            ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
            when = next_attempt(failure_of(context.instance, run), run, ended)
            if when is not None and when <= now() and (left := _left(context.instance, run)):
                kept = {name: value for name, value in run.tags.items() if name in KEPT or _ours(name)}
                attempt = int(run.tags.get(ATTEMPT, "1")) + 1
                yield dg.RunRequest(
                    # A run is tried again once; the next attempt is that of the new run.
                    run_key=f"again {run.run_id}",
                    asset_selection=left,
                    tags={**kept, ATTEMPT: str(attempt)},
                )

    return sensor


def _left(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.AssetKey]:
    """The assets of a run that it did not make."""
    made = {
        entry.dagster_event.asset_key
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        if entry.dagster_event
    }
    planned = {
        entry.dagster_event.asset_key
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        if entry.dagster_event
    }
    return sorted((key for key in planned - made if key is not None), key=str)


def _ours(tag: str) -> bool:
    return not tag.startswith(("dagster/", ".dagster/"))
