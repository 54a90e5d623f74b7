"""Inventory: the corridors and the avalanches that observers reported in them."""

from typing import Any

import dagster as dg

from avalanche_assets.assets.common import (
    OWNERS,
    after,
    analysis_grid,
    counts_table,
    data_version,
    markdown_table,
    picture,
    table_metadata,
)
from avalanche_assets.files import sha256
from avalanche_assets.inventory.report import ReadReport
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.tables import AVALANCHE_EVENTS, CORRIDORS, write_geotable, write_table

GROUP = "inventory"
SHOWN = 50
"""Rejected records shown in the UI; the reasons are counted over all."""


def _report(report: ReadReport) -> dict[str, Any]:
    return {
        "report": report.summary(),
        "rejected, by reason": counts_table(report.reasons(), "reason"),
        f"rejected, first {SHOWN}": markdown_table(
            ["record", "reason"], [(item.record, item.reason) for item in report.rejected[:SHOWN]]
        ),
    }


def corridors_asset(dem: dg.AssetsDefinition | None) -> dg.AssetsDefinition:
    """`corridors`, with elevations where there is an elevation model."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"geoparquet"},
        code_version="1",
        deps=[after(dem)] if dem else [],
    )
    def corridors(pipeline: Pipeline) -> dg.MaterializeResult:
        """Avalanche paths of the inventory with massif and deposit point, on the analysis grid."""
        from avalanche_assets.inventory.corridors import read_corridors
        from avalanche_assets.rasters import read_bands
        from avalanche_assets.reporting.figures import corridors_map
        from avalanche_assets.reporting.style import png

        settings = pipeline.settings.inventory
        heights = read_bands(pipeline.layout.dem)["elevation"] if dem else None
        grid = analysis_grid(pipeline)
        frame, report = read_corridors(settings.corridors, settings.massifs, heights, grid)
        path = pipeline.layout.corridors
        write_geotable(path, frame, CORRIDORS)
        metadata: dict[str, Any] = table_metadata(path, len(frame), CORRIDORS) | {
            **_report(report),
            "massifs": counts_table(frame["massif"].value_counts().to_dict(), "massif"),
            "not under observation": int((~frame["observed"]).sum()),
        }
        if heights is not None:
            metadata["map"] = picture(png(corridors_map(heights, grid, frame)))
        return dg.MaterializeResult(metadata=metadata, data_version=data_version(sha256(path)))

    return corridors


def avalanche_events_asset(corridors: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """`avalanche_events` from the inventory's extract."""

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"parquet"}, code_version="1", deps=[after(corridors)])
    def avalanche_events(pipeline: Pipeline) -> dg.MaterializeResult:
        """Reported avalanches with the interval in which each happened."""
        from avalanche_assets.inventory.events import read_events
        from avalanche_assets.tables import read_geotable

        ids = read_geotable(pipeline.layout.corridors, CORRIDORS)["corridor_id"]
        events_file = pipeline.settings.inventory.events
        assert events_file is not None  # the asset exists only with an event table
        events, report = read_events(events_file, list(ids))
        path = pipeline.layout.avalanche_events
        write_table(path, events, AVALANCHE_EVENTS)
        return dg.MaterializeResult(
            metadata=table_metadata(path, len(events), AVALANCHE_EVENTS) | _report(report),
            data_version=data_version(sha256(path)),
        )

    return avalanche_events
