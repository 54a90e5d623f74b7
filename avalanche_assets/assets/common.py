"""What every asset module needs: owners, groups, dependency shorthand, metadata values."""

import base64
import json
import math
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from avalanche_assets.grid import Grid
from avalanche_assets.resources.pipeline import Pipeline

if TYPE_CHECKING:
    from avalanche_assets.inventory.labels import IntervalCost

OWNERS = ["team:avalanche-detection"]


def after(asset: Any, mapping: dg.PartitionMapping | None = None) -> dg.AssetDep:
    """A dependency on `asset`, through a partition mapping unless the partitions are the same."""
    return dg.AssetDep(asset, partition_mapping=mapping)


def rounded(value: Any) -> float:
    """A number as the UI shows and plots it, to three decimals."""
    return round(float(value), 3)


def in_db(power: float) -> float | None:
    """Linear power in dB to three decimals; None where it has none: unknown, or below the noise."""
    return rounded(10 * math.log10(power)) if power > 0 else None


def picture(png: bytes) -> dg.MetadataValue:
    """A PNG shown inline in the UI. Keep it below 100 kB: it is stored with the event for ever."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def columns_of(schema: pa.Schema) -> dg.TableSchema:
    """A table's columns with unit and meaning, as the UI shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                str(field.type),
                f"{field.metadata[b'meaning'].decode()} [{field.metadata[b'unit'].decode()}]",
            )
            for field in schema
        ]
    )


def table_metadata(path: Path, rows: int, schema: pa.Schema) -> dict[str, Any]:
    """Path, row count and columns of a stored table under the names the UI knows."""
    return {
        "dagster/uri": str(path),
        "dagster/row_count": rows,
        "dagster/column_schema": columns_of(schema),
    }


def data_version(*parts: object) -> dg.DataVersion:
    """A data version from content: the same inputs give the same version."""
    text = json.dumps([str(part) for part in parts])
    return dg.DataVersion(sha256(text.encode()).hexdigest()[:16])


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> dg.MetadataValue:
    """A Markdown table."""
    names = list(header)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def counts_table(counts: Mapping[str, int], name: str) -> dg.MetadataValue:
    """A Markdown table of counts by name."""
    return markdown_table([name, "count"], counts.items())


def interval_costs_table(costs: "Iterable[IntervalCost]") -> dg.MetadataValue:
    """What each interval rule makes of the reported avalanches (`inventory.labels.interval_costs`)."""
    return markdown_table(
        ["window", "rule", "positive", "against the label", "ambiguous", "negative", "unobserved"],
        [
            (
                cost.window,
                cost.rule,
                cost.states["positive"],
                f"{cost.positives_gained:+d}",
                *(cost.states[state] for state in ("ambiguous", "negative", "unobserved")),
            )
            for cost in costs
        ],
    )


def note(pipeline: Pipeline, day: str) -> str:
    """The footer of a date's picture: orbit, overpass, and the mark of simulated data."""
    from avalanche_assets.reporting.style import footer_text

    track = pipeline.settings.track
    current, previous = pipeline.catalogue.get(day), pipeline.catalogue.previous(day)
    simulated = pipeline.settings.simulated
    return footer_text(track.relative_orbit, track.direction, current, previous, simulated=simulated)


def analysis_grid(pipeline: Pipeline) -> Grid:
    """The analysis grid: the elevation model's, or, without one, that of the first ready-made raster."""
    from avalanche_assets.backscatter.ready_made import grid_of
    from avalanche_assets.rasters import read_grid

    settings = pipeline.settings
    if settings.terrain is not None:
        return read_grid(pipeline.layout.dem)
    first = pipeline.catalogue.acquisitions[0].products[0]
    return grid_of(settings.source.folder / first, settings.grid.crs, settings.grid.resolution_m)
