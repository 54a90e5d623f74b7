"""From a new acquisition to its bulletin without a hand: the sensor `process_new_dates`.

It looks twice a minute which dates of the running season have something to be made (`due`) and launches one
run for the first of them, all steps together; then the next. A date that fails is left alone until somebody
or something changes it, and holds up no other; one whose run hangs does so for `PATIENCE`. Older seasons are
never touched: they are a person's backfill.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg

from avalanche_assets.automation.checks import GUARDS
from avalanche_assets.automation.due import OBSERVED, Chain, Item, date_chains, due, season_chain
from avalanche_assets.automation.failures import PARTITION
from avalanche_assets.automation.made import latest_events, when
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import season_of

AUTOMATIC = {"avalanche/started_by": "process_new_dates"}
"""Tag of the runs that the sensor launches."""
AHEAD = {"dagster/priority": "10"}
"""A new date goes before the dates of a backfill that wait in the queue."""
ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
UNFINISHED = [status for status in dg.DagsterRunStatus if status not in ENDED]
SEASON_ASSET = "season_report"
PATIENCE = timedelta(hours=1)
"""How long the next date waits for a run under way: longer than most take, some downloads excepted."""


def process_new_dates(
    specs: Sequence[dg.AssetSpec],
    partitions: Partitions,
    *,
    remote: bool,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dg.SensorDefinition:
    """The sensor of a deployment.

    Args:
        specs: Of all its assets, in flow order.
        partitions: Of the deployment.
        remote: Whether products have to be fetched. Then it works until somebody switches it off, and only on
            the season of today, so that listing an old winter never starts to fetch it; with products at hand
            it waits to be switched on, and works on the latest season there is.
        now: The clock.
    """

    @cache
    def chains(season: str) -> list[Chain]:
        return [
            *date_chains(specs, partitions, season),
            season_chain(specs, partitions, SEASON_ASSET, season),
        ]

    status = dg.DefaultSensorStatus.RUNNING if remote else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="process_new_dates",
        asset_selection=dg.AssetSelection.assets(*(spec.key for spec in specs if spec.key != OBSERVED)),
        default_status=status,
        minimum_interval_seconds=30,
        description="Makes every new acquisition of the running season into a bulletin, and makes it again "
        "when its products or its previous acquisition change. Switch it off to pause; runs under way go on.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        season = season_of(now().date()) if remote else "".join(partitions.catalogue.seasons[-1:])
        return next_run(context.instance, chains(season), season, now())

    return sensor


def next_run(
    instance: dg.DagsterInstance, chains: Sequence[Chain], season: str, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """The run of the first chain that has something to be made, or why there is none.

    One date at a time, so that each finds its previous one. A run that takes longer than `PATIENCE` keeps its
    own date only: the dates after it are made without it, and again when it has come after all.
    """
    unfinished = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    busy = {record.dagster_run.tags.get(PARTITION) for record in unfinished}
    automatic = [one for one in unfinished if one.dagster_run.tags.items() >= AUTOMATIC.items()]
    if any(now - record.create_timestamp < PATIENCE for record in automatic):
        return dg.SkipReason("at work on a date; the next one follows")
    made = latest_events(instance, chains, GUARDS)
    told = [f"{one.dagster_run.tags[PARTITION]} is at work since {_clock(one)}" for one in automatic]
    waiting: dict[Item, list[str]] = {}
    for chain in chains:
        found = due(chain, made)
        for item in found.waiting_for:
            waiting.setdefault(item, []).append(chain.partition)
        if not found.assets or chain.partition in busy:
            continue
        failed = failed_since_it_changed(instance, chain, made)
        if failed is not None:
            told.append(f"{chain.partition} failed in run {failed[:8]}")
            continue
        return dg.RunRequest(
            asset_selection=[dg.AssetKey(name) for name in found.assets],
            # Not partition_key, which wants all assets to have the same partitions.
            tags={PARTITION: chain.partition, **AUTOMATIC, **AHEAD},
        )
    told += [f"{' '.join(filter(None, item))} is missing for {_span(days)}" for item, days in waiting.items()]
    return dg.SkipReason("; ".join([f"nothing new in {season}", *told]))


def failed_since_it_changed(
    instance: dg.DagsterInstance, chain: Chain, made: Mapping[Item, int]
) -> str | None:
    """The id of the latest run of a chain, if it failed and nothing about the chain has changed since."""
    tags = {PARTITION: chain.partition, **AUTOMATIC}
    records = instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)
    if not records or records[0].dagster_run.status == dg.DagsterRunStatus.SUCCESS:
        return None
    ended = records[0].end_time or records[0].update_timestamp.timestamp()
    newest = max(chain.items & made.keys(), key=lambda item: made[item], default=None)
    changed = newest is not None and when(instance, newest) > ended
    return None if changed else records[0].dagster_run.run_id


def _clock(record: dg.RunRecord) -> str:
    return f"{record.create_timestamp:%Y-%m-%d %H:%M} UTC in run {record.dagster_run.run_id[:8]}"


def _span(partitions: Sequence[str]) -> str:
    return partitions[0] if len(partitions) == 1 else f"{partitions[0]} to {partitions[-1]}"
