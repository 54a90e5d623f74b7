"""Inventory: the corridors and the avalanches that observers reported in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from avalanche_assets.assets.common import (
    OWNERS,
    after,
    analysis_grid,
    counts_table,
    data_version,
    interval_costs_table,
    markdown_table,
    picture,
    table_metadata,
)
from avalanche_assets.files import sha256, write_text
from avalanche_assets.inventory.report import ReadReport
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.settings import InventorySettings
from avalanche_assets.tables import AVALANCHE_EVENTS, CORRIDORS, write_geotable, write_table

if TYPE_CHECKING:
    import pyarrow as pa
    from geopandas import GeoDataFrame

    from avalanche_assets.inventory.corridors import CorridorReading
    from avalanche_assets.inventory.layers import StoredLayer

GROUP = "inventory"
SHOWN = 50
"""Rejected records shown in the UI; the reasons are counted over all."""


def _report(report: ReadReport, rejected: Path) -> dict[str, Any]:
    """What the UI shows of a reading; stores every rejected record beside the table."""
    write_text(rejected, report.rejected_csv())
    return {
        "report": report.summary(),
        "rejected, by reason": counts_table(report.reasons(), "reason"),
        f"rejected, first {SHOWN}": markdown_table(
            ["record", "reason"], [(item.record, item.reason) for item in report.rejected[:SHOWN]]
        ),
        "rejected, all": str(rejected),
    }


def _origin(context: dg.AssetExecutionContext, layers: "tuple[StoredLayer, ...]") -> dict[str, Any]:
    """Where and when layers of the public service come from; warns of those that could not be renewed."""
    for layer in layers:
        if layer.warning:
            context.log.warning(layer.warning)
    if not layers:
        return {}
    rows = [
        (layer.layer, layer.source, layer.features, f"{layer.retrieved:%Y-%m-%d %H:%M} UTC", layer.warning)
        for layer in layers
    ]
    return {
        "retrieved": f"{min(layer.retrieved for layer in layers):%Y-%m-%d %H:%M} UTC",
        "layers": markdown_table(["layer", "service", "features", "retrieved", "not renewed"], rows),
    }


def corridors_asset(dem: dg.AssetsDefinition | None) -> dg.AssetsDefinition:
    """`corridors`, with elevations where there is an elevation model."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"geoparquet"},
        code_version="2",
        deps=[after(dem)] if dem else [],
    )
    def corridors(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Avalanche paths of the inventory with massif and deposit point, on the analysis grid."""
        from avalanche_assets.inventory.corridors import read_corridors
        from avalanche_assets.inventory.massifs import read_massifs
        from avalanche_assets.inventory.sources import inventory_files
        from avalanche_assets.rasters import read_bands
        from avalanche_assets.reporting.figures import corridors_map
        from avalanche_assets.reporting.style import png

        settings, layout = pipeline.settings.inventory, pipeline.layout
        heights = read_bands(layout.dem)["elevation"] if dem else None
        grid = analysis_grid(pipeline)
        files = inventory_files(pipeline.settings, grid, context.log.info)
        massifs = files.massifs and read_massifs(files.massifs, grid.crs, settings.massif_columns)
        how = _how_to_read(settings, files.events)
        frame, report = read_corridors(files.corridors, massifs, heights, grid, how)
        write_geotable(layout.corridors, frame, CORRIDORS)
        metadata: dict[str, Any] = table_metadata(layout.corridors, len(frame), CORRIDORS) | {
            **_origin(context, files.layers),
            **_report(report, layout.rejected("corridors")),
            "massifs": counts_table(frame["massif"].value_counts().to_dict(), "massif"),
            "outside all massifs": int((frame["massif"] == "").sum()),
            "observation": counts_table(frame["observation"].value_counts().to_dict(), "state"),
            "not under observation": int((~frame["observed"]).sum()),
        }
        if heights is not None:
            metadata["map"] = picture(png(corridors_map(heights, grid, frame)))
        return dg.MaterializeResult(metadata=metadata, data_version=data_version(sha256(layout.corridors)))

    return corridors


def _how_to_read(settings: InventorySettings, events: Path | None) -> "CorridorReading":
    from avalanche_assets.inventory.corridors import CorridorReading
    from avalanche_assets.inventory.site_status import read_site_status

    # The official extract says of every event's site whether it ended, was lost or is hard to observe.
    status = events and read_site_status(events, settings.event_columns)
    return CorridorReading(
        settings.corridor_columns,
        settings.corridors_crs,
        settings.deposit_point,
        () if status is None else (status,),
    )


def avalanche_events_asset(corridors: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """`avalanche_events` from the inventory's extract."""

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"parquet"}, code_version="2", deps=[after(corridors)])
    def avalanche_events(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Reported avalanches with the interval in which each happened."""
        from avalanche_assets.inventory.events import read_events
        from avalanche_assets.inventory.sources import inventory_files
        from avalanche_assets.tables import read_geotable

        settings, layout = pipeline.settings.inventory, pipeline.layout
        sites = read_geotable(layout.corridors, CORRIDORS)
        files = inventory_files(pipeline.settings, analysis_grid(pipeline), context.log.info)
        assert files.events is not None  # the asset exists only with events
        events, report = read_events(files.events, list(sites["corridor_id"]), settings.event_columns)
        path = layout.avalanche_events
        write_table(path, events, AVALANCHE_EVENTS)
        return dg.MaterializeResult(
            metadata=table_metadata(path, len(events), AVALANCHE_EVENTS)
            | _origin(context, files.layers)
            | _report(report, layout.rejected("avalanche_events"))
            | _season_costs(pipeline, sites, events),
            data_version=data_version(sha256(path)),
        )

    return avalanche_events


def _season_costs(pipeline: Pipeline, corridors: "GeoDataFrame", events: "pa.Table") -> dict[str, Any]:
    """What each interval rule would cost in the season that models learn from, as far as it is known."""
    from avalanche_assets.inventory.labels import interval_costs

    season, catalogue = pipeline.settings.learning.season, pipeline.catalogue
    days = catalogue.dates("winter", season)
    passes = [(catalogue.previous(day), catalogue.get(day)) for day in days]
    costs = interval_costs(corridors, events, passes, pipeline.settings.inventory.recent_days)
    return {
        f"labels of {season} by interval rule": interval_costs_table(costs),
        "acquisitions that these labels are of": len(days),
    }
