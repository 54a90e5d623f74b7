"""Checks that every stored table follows its schema, whichever version of the code wrote it.

Tables are checked when they are written and when they are read; these checks say so beforehand, for all dates
together: after a change of a schema they name the dates to materialise again. Only the footers of the files
are read.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow as pa

from avalanche_assets import tables
from avalanche_assets.assets.common import markdown_table
from avalanche_assets.errors import TableError
from avalanche_assets.layout import DataLayout
from avalanche_assets.resources.pipeline import Pipeline

NAME = "schema"
SHOWN = 20
"""Tables named one by one when they do not follow their schema."""


@dataclass(frozen=True)
class Stored:
    """Tables of one asset.

    Attributes:
        schema: What they follow.
        path: Of the table of a date; the same for all dates where there is only one.
        by_date: Whether there is one a date.
        has_shapes: Whether they hold geometry columns besides.
    """

    schema: pa.Schema
    path: Callable[[DataLayout, str], Path]
    by_date: bool = False
    has_shapes: bool = False

    def paths(self, layout: DataLayout, days: Collection[str]) -> list[Path]:
        """All that there are."""
        found = [self.path(layout, day) for day in (days if self.by_date else [""])]
        return [path for path in found if path.exists()]


STORED = {
    "corridors": [Stored(tables.CORRIDORS, lambda layout, _: layout.corridors, has_shapes=True)],
    "avalanche_events": [Stored(tables.AVALANCHE_EVENTS, lambda layout, _: layout.avalanche_events)],
    "terrain_patches": [Stored(tables.TERRAIN_PATCHES, lambda layout, _: layout.terrain_patches)],
    "corridor_patches": [
        Stored(tables.CORRIDOR_PATCHES, DataLayout.corridor_patches, by_date=True),
        Stored(tables.SCENE_LEVELS, DataLayout.scene_levels, by_date=True),
    ],
    "corridor_labels": [Stored(tables.CORRIDOR_LABELS, DataLayout.corridor_labels, by_date=True)],
    "training_split": [Stored(tables.TRAINING_SPLIT, lambda layout, _: layout.training_split)],
    "thresholds": [Stored(tables.THRESHOLDS, lambda layout, _: layout.thresholds)],
    "evaluation": [Stored(tables.EVALUATION, lambda layout, _: layout.evaluation)],
    "anomaly_scores": [Stored(tables.ANOMALY_SCORES, DataLayout.anomaly_scores, by_date=True)],
    "detections": [Stored(tables.DETECTIONS, DataLayout.detections, by_date=True, has_shapes=True)],
}
"""Tables by the asset that writes them."""


def schema_checks(present: Collection[str]) -> list[dg.AssetChecksDefinition]:
    """One check for every asset of a deployment that stores tables."""
    return [_schema_check(name, stored) for name, stored in STORED.items() if name in present]


def _schema_check(asset: str, stored: list[Stored]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name=NAME,
        description="Every stored table has the columns and types that this version of the code expects.",
    )
    def schema(pipeline: Pipeline) -> dg.AssetCheckResult:
        layout, days = pipeline.layout, pipeline.catalogue.dates()
        problems: list[str] = []
        writers: set[str] = set()
        count = 0
        for table in stored:
            for path in table.paths(layout, days):
                count += 1
                try:
                    writers.add(tables.require_schema(path, table.schema, has_shapes=table.has_shapes))
                except TableError as error:
                    problems.append(str(error))
        return dg.AssetCheckResult(
            passed=not problems,
            description=f"{len(problems)} of {count} tables do not follow it" if problems else None,
            metadata={
                "tables": count,
                "written by": ", ".join(sorted(writers)) or "nobody yet",
                f"problems, first {SHOWN}": markdown_table(
                    ["problem"], [[line] for line in problems[:SHOWN]]
                ),
            },
        )

    return schema
