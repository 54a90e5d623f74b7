"""What exists: the latest events of assets, and what a blocking check has refused of them."""

from collections.abc import Iterable, Sequence

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
    refused = {
        item for guard in guards for item, number in _refused(instance, guard) if made.get(item) == number
    }
    return {item: number for item, number in made.items() if item not in refused}


def when(instance: dg.DagsterInstance, item: Item) -> float:
    """When an item was made or observed last."""
    name, partition = item
    key = dg.AssetKey(name)
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    fetch = instance.fetch_observations if key == OBSERVED else instance.fetch_materializations
    return fetch(wanted, limit=1).records[0].timestamp


def _refused(instance: dg.DagsterInstance, guard: dg.AssetCheckKey) -> list[tuple[Item, int]]:
    """What a check said last of each partition where that was an error, with the event that it looked at."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        guard, limit=LOOKED_BACK, status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
    )
    last = {record.partition: record for record in reversed(records)}
    found = []
    for partition, record in last.items():
        event = record.event.dagster_event if record.event else None
        said = event.asset_check_evaluation_data if event else None
        if said is None or said.passed or said.severity != dg.AssetCheckSeverity.ERROR:
            continue
        if said.target_materialization_data is not None:
            item = (guard.asset_key.to_user_string(), partition)
            found.append((item, said.target_materialization_data.storage_id))
    return found
