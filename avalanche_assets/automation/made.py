"""What exists: the latest events of assets, and what a blocking check has refused of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
)

from avalanche_assets.automation.due import OBSERVED, Chain, Item

LOOKED_BACK = 1000
"""Evaluations of a check that are looked at: those of some 25 winters."""


def latest_events(
    instance: dg.DagsterInstance, chains: Iterable[Chain], guards: Sequence[dg.AssetCheckKey]
) -> dict[Item, int]:
    """The number of the latest event of everything that the chains name and that exists.

    What a guard refused does not exist: what is made from it would otherwise go round the check when it is
    made alone.

    Args:
        instance: Knows the events.
        chains: Whose items are wanted.
        guards: Blocking checks.
    """
    chains = list(chains)
    items = {item for chain in chains for item in chain.items}
    items |= {item for chain in chains for step in chain.steps for item in step.fixed}
    made: dict[Item, int] = {}
    for name in {name for name, _ in items}:
        key = dg.AssetKey(name)
        if (name, None) in items:
            event = instance.get_latest_materialization_event(key)
            made |= {(name, None): 1} if event is not None else {}
            continue
        observed, materialised = (
            dg.DagsterEventType.ASSET_OBSERVATION,
            dg.DagsterEventType.ASSET_MATERIALIZATION,
        )
        kind = observed if key == OBSERVED else materialised
        by_partition = instance.get_latest_storage_id_by_partition(key, kind)
        made |= {(name, partition): number for partition, number in by_partition.items()}
    refusals = {
        (one.asset, one.partition)
        for one in _refusals(instance, guards)
        if made.get((one.asset, one.partition)) == one.number
    }
    return {item: number for item, number in made.items() if item not in refusals}


def refused(instance: dg.DagsterInstance, guards: Iterable[dg.AssetCheckKey], asset: str) -> dict[str, str]:
    """The dates of an asset that a guard has refused since they were made last, each with the reason.

    A blocking check stops its own run only. In a backfill, and from the command line, the next asset is
    another run, which has to ask.
    """
    of_asset = [guard for guard in guards if guard.asset_key == dg.AssetKey(asset)]
    refusals = list(_refusals(instance, of_asset))
    if not refusals:
        return {}
    latest = instance.get_latest_storage_id_by_partition(
        dg.AssetKey(asset), dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    return {
        one.partition: f"the check {one.check} refused it: {one.problem}"
        for one in refusals
        if one.partition and latest.get(one.partition) == one.number
    }


def when(instance: dg.DagsterInstance, item: Item) -> float:
    """When an item was made or observed last."""
    name, partition = item
    key = dg.AssetKey(name)
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    fetch = instance.fetch_observations if key == OBSERVED else instance.fetch_materializations
    return fetch(wanted, limit=1).records[0].timestamp


@dataclass(frozen=True)
class _Refusal:
    """What a check said last of a partition, where that was an error.

    Attributes:
        asset: Name of the asset that was looked at.
        partition: Of it.
        number: Of the event that was looked at.
        check: Name of the check.
        problem: What it said.
    """

    asset: str
    partition: str | None
    number: int
    check: str
    problem: str


def _refusals(instance: dg.DagsterInstance, guards: Iterable[dg.AssetCheckKey]) -> Iterator[_Refusal]:
    for guard in guards:
        records = instance.event_log_storage.get_asset_check_execution_history(
            guard, limit=LOOKED_BACK, status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
        )
        last = {record.partition: record for record in reversed(records)}
        for partition, record in last.items():
            event = record.event.dagster_event if record.event else None
            said = event.asset_check_evaluation_data if event else None
            if said is None or said.passed or said.severity != dg.AssetCheckSeverity.ERROR:
                continue
            if said.target_materialization_data is not None:
                yield _Refusal(
                    guard.asset_key.to_user_string(),
                    partition,
                    said.target_materialization_data.storage_id,
                    guard.name,
                    said.description or "see the check",
                )
