"""What is to be made of which date: what is missing, or older than what it is made from.

The rule is that of `make`, on the numbers that the instance gives to its events: a later event has a higher
one. Assets without dates (terrain, inventory, models, a season's reference) have to be there but are never
waited for to change: making dates again with a new model is a person's decision.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from avalanche_assets.automation.partitions import Partitions

OBSERVED = dg.AssetKey("acquisition")
"""What the source offers of a date; observed, not made."""

Item = tuple[str, str | None]
"""An asset and one of its partitions, None for an asset without."""


@dataclass(frozen=True)
class Step:
    """One asset of one date or season.

    Attributes:
        asset: Its name.
        own: Inputs of the same date: made before it, or it cannot be made.
        others: Inputs of other dates: what is there of them is used.
        fixed: Inputs that must exist.
    """

    asset: str
    own: tuple[Item, ...] = ()
    others: tuple[Item, ...] = ()
    fixed: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Chain:
    """The steps of one date or season in flow order.

    Attributes:
        partition: Its partition key.
        steps: Each after its inputs.
    """

    partition: str
    steps: tuple[Step, ...]

    @property
    def items(self) -> set[Item]:
        """Everything whose change makes a step due."""
        own = {(step.asset, self.partition) for step in self.steps}
        return own.union(*({*step.own, *step.others} for step in self.steps))


@dataclass(frozen=True)
class Due:
    """What is to be made of a chain.

    Attributes:
        assets: In flow order; they can be made in one run.
        waiting_for: What is missing for the steps after them.
    """

    assets: tuple[str, ...]
    waiting_for: tuple[Item, ...]


def due(chain: Chain, made: Mapping[Item, int]) -> Due:
    """The steps that are missing or older than their inputs, as far as they can be made.

    Args:
        chain: Of one date or season.
        made: Number of the latest event of everything that exists.
    """
    chosen: list[str] = []
    stuck: set[str] = set()
    waiting: dict[Item, None] = {}
    for step in chain.steps:
        event, own = made.get((step.asset, chain.partition)), {asset for asset, _ in step.own}
        newest_input = max((made.get(item, 0) for item in (*step.own, *step.others)), default=0)
        if event is not None and event > newest_input and own.isdisjoint([*chosen, *stuck]):
            continue
        missing = [item for item in step.fixed if item not in made]
        waiting |= dict.fromkeys(missing)
        has_input = bool(own) or any(item in made for item in step.others)
        if missing or not has_input or not own.isdisjoint(stuck):
            stuck.add(step.asset)
        else:
            chosen.append(step.asset)
    return Due(tuple(chosen), tuple(waiting))


def specs_of(assets: Iterable[dg.AssetsDefinition | dg.AssetSpec]) -> list[dg.AssetSpec]:
    """What assets are and what they are made from, in their order."""
    return [
        spec
        for asset in assets
        for spec in ([asset] if isinstance(asset, dg.AssetSpec) else list(asset.specs))
    ]


def date_chains(specs: Sequence[dg.AssetSpec], partitions: Partitions, season: str) -> list[Chain]:
    """One chain for each date of a season whose products were not withdrawn, in order of date.

    Args:
        specs: Of all assets, in flow order.
        partitions: Of the deployment.
        season: ``2017-18``.
    """
    dates = (partitions.all_dates, partitions.winter_dates)
    dated = {spec.key: spec for spec in specs if spec.partitions_def in dates}
    graph = {spec.key: spec for spec in specs}
    days = [
        item
        for item in partitions.catalogue.acquisitions
        if item.season == season and item.state != "withdrawn"
    ]
    return [
        Chain(
            day,
            tuple(
                _step(spec, day, graph, dated)
                for key, spec in dated.items()
                if key != OBSERVED and day in _keys(spec)
            ),
        )
        for day in (str(item.date) for item in days)
    ]


def season_chain(specs: Sequence[dg.AssetSpec], partitions: Partitions, asset: str, season: str) -> Chain:
    """The chain of what is made of all dates of a season: one asset, where the deployment has it."""
    dates = (partitions.all_dates, partitions.winter_dates)
    dated = {spec.key: spec for spec in specs if spec.partitions_def in dates}
    graph = {spec.key: spec for spec in specs}
    wanted = [spec for spec in specs if spec.key == dg.AssetKey(asset) and season in _keys(spec)]
    return Chain(season, tuple(_step(spec, season, graph, dated) for spec in wanted))


def _step(
    spec: dg.AssetSpec,
    partition: str,
    graph: Mapping[dg.AssetKey, dg.AssetSpec],
    dated: Collection[dg.AssetKey],
) -> Step:
    own: list[Item] = []
    others: list[Item] = []
    fixed: list[Item] = []
    for dep in spec.deps:
        name, parent = dep.asset_key.to_user_string(), graph[dep.asset_key]
        for key in _upstream(spec, parent, dep.partition_mapping, partition):
            kind = fixed if parent.key not in dated else own if key == partition else others
            kind.append((name, key))
    return Step(spec.key.to_user_string(), tuple(own), tuple(others), tuple(fixed))


def _upstream(
    spec: dg.AssetSpec, parent: dg.AssetSpec, mapping: dg.PartitionMapping | None, partition: str
) -> Sequence[str | None]:
    """The partitions of an input that one partition needs."""
    if parent.partitions_def is None or spec.partitions_def is None:
        return [None]
    if mapping is None:
        return [partition]
    wanted = spec.partitions_def.subset_with_partition_keys([partition])
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(
        wanted, spec.partitions_def, parent.partitions_def
    )
    return sorted(result.partitions_subset.get_partition_keys())


def _keys(spec: dg.AssetSpec) -> Sequence[str]:
    return spec.partitions_def.get_partition_keys() if spec.partitions_def else []
