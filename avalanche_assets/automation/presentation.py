"""How assets appear in the UI, said once for all of them: groups in flow order, tags, freshness."""

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.automation.stages import STAGES

FLOW = ("acquisition", "terrain", "inventory", "backscatter", "patches", "learning", "detection")
"""The groups; the UI lists groups by name, so each gets its number."""
ASKED_WITHIN = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=6), fail_window=timedelta(hours=26))
"""Of the catalogue of a remote source, asked every hour.

Not of the bulletin: Dagster looks at the latest materialisation of an asset, of whatever partition, so that a
backfill of an old winter would turn it green, and every summer red. The check `bulletins_follow` knows dates.
"""


def presented(
    assets: Iterable[dg.AssetsDefinition | dg.AssetSpec], partitions: Partitions, *, remote: bool
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The same assets as people find them in the UI.

    Args:
        assets: Of a deployment.
        partitions: Of the deployment.
        remote: Whether its source is asked by a schedule.
    """
    stages = {name: stage for stage in STAGES for name in stage.assets}

    def dressed(spec: dg.AssetSpec) -> dg.AssetSpec:
        name, group = spec.key.to_user_string(), spec.group_name or "default"
        number = f"{FLOW.index(group) + 1}_" if group in FLOW else ""
        stage = stages.get(name, STAGES[0])
        tags = {
            "avalanche/made": _cadence(spec, partitions),
            "avalanche/job": stage.name,
            "avalanche/demand": stage.demand,
        }
        spec = spec.replace_attributes(group_name=number + group).merge_attributes(tags=tags)
        watched = remote and name == "acquisition_catalogue"
        return spec.replace_attributes(freshness_policy=ASKED_WITHIN) if watched else spec

    return [
        dressed(asset) if isinstance(asset, dg.AssetSpec) else asset.map_asset_specs(dressed)
        for asset in assets
    ]


def _cadence(spec: dg.AssetSpec, partitions: Partitions) -> str:
    if spec.partitions_def in (partitions.all_dates, partitions.winter_dates):
        return "each_date"
    return "once" if spec.partitions_def is None else "each_season"
