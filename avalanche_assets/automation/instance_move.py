"""Moving a Dagster instance into another database, as when one machine with SQLite becomes a service.

Dagster migrates a database to a new version, never to another kind of database. What it has is the content of
a run as one payload (`dagster debug export` and `import`); here every run is carried over that way, with its
own times.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.debug import DebugRunPayload
from dagster._core.storage.dagster_run import RunRecord

from avalanche_assets.errors import SettingsError

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Moved:
    """What was carried over.

    Attributes:
        runs: New in the target.
        known: That the target had already.
        events: Of the new runs.
        backfills: New in the target.
    """

    runs: int
    known: int
    events: int
    backfills: int


def move_instance(home: Path, target: dg.DagsterInstance, progress: Callable[[str], None]) -> Moved:
    """Copies runs, their events and finished backfills of the instance in `home` into `target`.

    What the target has already is left alone, so it can be run again. Not copied: switches of schedules and
    sensors (they start as defined), events that were reported without a run, and output that runs printed.

    Raises:
        SettingsError: There is no instance in `home`, it is the target itself, or work is under way on it.
    """
    if not (home / "dagster.yaml").is_file():
        raise SettingsError(f"{home}: no dagster.yaml; name the DAGSTER_HOME that is to be moved")
    if home.resolve() == Path(target.root_directory).resolve():
        raise SettingsError(f"{home}: is DAGSTER_HOME itself; set DAGSTER_HOME to that of the new instance")
    with dg.DagsterInstance.from_config(str(home)) as source:
        records = source.get_run_records(order_by="create_timestamp", ascending=True)
        busy = [record for record in records if record.dagster_run.status not in FINISHED]
        if busy:
            raise SettingsError(
                f"{home}: {len(busy)} runs are not finished, the first is {busy[0].dagster_run.run_id}; "
                "let them end or terminate them, stop the daemon, and move then"
            )
        new = [record for record in records if not target.has_run(record.dagster_run.run_id)]
        events = 0
        for number, record in enumerate(new, 1):
            events += _copy_run(source, target, record)
            if number % 50 == 0 or number == len(new):
                progress(f"{number} of {len(new)} runs")
        backfills = [item for item in source.get_backfills() if target.get_backfill(item.backfill_id) is None]
        for backfill in backfills:
            target.add_backfill(backfill)
        return Moved(len(new), len(records) - len(new), events, len(backfills))


def _copy_run(source: dg.DagsterInstance, target: dg.DagsterInstance, record: RunRecord) -> int:
    run = record.dagster_run
    payload = DebugRunPayload.build(source, run)
    # A snapshot is stored under its content: that of the next run of the same job is there already.
    for identity, snapshot in (
        (run.job_snapshot_id, payload.job_snapshot),
        (run.execution_plan_snapshot_id, payload.execution_plan_snapshot),
    ):
        if identity and not target.has_snapshot(identity):
            target.add_snapshot(snapshot)
    target.run_storage.add_historical_run(run, record.create_timestamp)
    for event in payload.event_list:
        target.event_log_storage.store_event(event)
        if event.dagster_event is not None:
            # The run's own times are those of these events.
            when = datetime.fromtimestamp(event.timestamp, UTC)
            target.run_storage.handle_run_event(run.run_id, event.dagster_event, when)
    return len(payload.event_list)
