"""Patches: terrain once per corridor, VV*/VH* and labels per date."""

import dagster as dg

from avalanche_assets.assets.common import (
    OWNERS,
    after,
    data_version,
    interval_costs_table,
    note,
    picture,
    table_metadata,
)
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.files import sha256
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.tables import (
    AVALANCHE_EVENTS,
    CORRIDOR_LABELS,
    CORRIDOR_PATCHES,
    CORRIDORS,
    TERRAIN_PATCHES,
    read_geotable,
    read_table,
    write_table,
)

GROUP = "patches"
SHOWN = 12
"""Patches on the contact sheet in the UI."""


def terrain_patches_asset(
    dem: dg.AssetsDefinition,
    slope_aspect: dg.AssetsDefinition,
    corridors: dg.AssetsDefinition,
    track_geometry: dg.AssetsDefinition | None,
) -> dg.AssetsDefinition:
    """`terrain_patches`; without `track_geometry` (ready-made rasters) every pixel counts as visible."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="1",
        deps=[after(asset) for asset in (dem, slope_aspect, corridors, track_geometry) if asset is not None],
    )
    def terrain_patches(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Elevation, slope, aspect, local incidence and visibility around every deposit point."""
        import numpy as np

        from avalanche_assets.backscatter.coverage import patch_holes
        from avalanche_assets.patches.cutting import cut_terrain_patches
        from avalanche_assets.rasters import read_bands, read_grid
        from avalanche_assets.sentinel1.visibility import unobstructed

        layout, grid = pipeline.layout, read_grid(pipeline.layout.dem)
        bands = {**read_bands(layout.dem), **read_bands(layout.slope_aspect)}
        if track_geometry is not None:
            geometry = read_bands(layout.track_geometry, ["local_incidence", "visibility"])
            bands["local_incidence"] = geometry["local_incidence"]
            bands["visible"] = unobstructed(geometry["visibility"]).astype(np.float32)
        else:
            bands["local_incidence"] = np.full(grid.shape, np.nan, np.float32)
            bands["visible"] = np.ones(grid.shape, np.float32)
        corridors_table = read_geotable(layout.corridors, CORRIDORS)
        table = cut_terrain_patches(corridors_table, grid, bands)
        write_table(layout.terrain_patches, table, TERRAIN_PATCHES)
        metadata = table_metadata(layout.terrain_patches, table.num_rows, TERRAIN_PATCHES)
        terrain = pipeline.settings.terrain
        model = (terrain and terrain.dem) or layout.glo30_tiles
        if terrain and (holes := patch_holes(corridors_table, grid, bands["elevation"], model)):
            context.log.warning(holes)
            metadata["holes of the elevation model"] = holes
        return dg.MaterializeResult(
            metadata=metadata,
            data_version=data_version(sha256(layout.terrain_patches)),
        )

    return terrain_patches


def corridor_patches_asset(
    partitions: Partitions,
    vv_vh_star: dg.AssetsDefinition,
    corridors: dg.AssetsDefinition,
    track_geometry: dg.AssetsDefinition | None,
) -> dg.AssetsDefinition:
    """`corridor_patches`, with visibility where there is terrain."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="1",
        partitions_def=partitions.winter_dates,
        deps=[
            *(after(asset) for asset in (vv_vh_star, corridors, track_geometry) if asset is not None),
            partitions.its_products,
        ],
    )
    def corridor_patches(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """64 x 64 pixels of VV* and VH* around every deposit point, with quality fractions.

        The previous acquisition's patches are read from its own partition, never stored twice.
        """
        import numpy as np
        import pyarrow.compute as pc

        from avalanche_assets.patches.cutting import cut_corridor_patches
        from avalanche_assets.rasters import read_bands, read_grid
        from avalanche_assets.reporting.learning_figures import patch_sheet
        from avalanche_assets.reporting.style import png
        from avalanche_assets.sentinel1.visibility import unobstructed

        day, layout = context.partition_key, pipeline.layout
        star, grid = read_bands(layout.vv_vh_star(day)), read_grid(layout.vv_vh_star(day))
        visible = np.ones(grid.shape, bool)
        if track_geometry is not None:
            visible = unobstructed(read_bands(layout.track_geometry, ["visibility"])["visibility"])
        table = cut_corridor_patches(
            read_geotable(layout.corridors, CORRIDORS),
            grid,
            pipeline.catalogue.get(day).date,
            star["vv_star"],
            star["vh_star"],
            visible,
            pipeline.settings.backscatter.wet_snow_db,
        )
        path = layout.corridor_patches(day)
        write_table(path, table, CORRIDOR_PATCHES)
        names = table["corridor_id"].to_pylist()[:SHOWN]
        shown = table["vv_star"].combine_chunks().to_numpy_ndarray()[:SHOWN]
        fractions = ("valid_fraction", "visible_fraction", "wet_snow_fraction")
        return dg.MaterializeResult(
            metadata=table_metadata(path, table.num_rows, CORRIDOR_PATCHES)
            | {f"mean {name}": pc.mean(table[name]).as_py() for name in fractions}
            | {"first patches": picture(png(patch_sheet(shown, names, "VV*", note(pipeline, day))))},
            data_version=data_version(sha256(path)),
        )

    return corridor_patches


def corridor_labels_asset(
    partitions: Partitions, corridors: dg.AssetsDefinition, avalanche_events: dg.AssetsDefinition
) -> dg.AssetsDefinition:
    """`corridor_labels` from the reported avalanches."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="2",
        partitions_def=partitions.winter_dates,
        deps=[after(corridors), after(avalanche_events), partitions.its_products],
    )
    def corridor_labels(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """What the inventory knows of every corridor at this date, for both label windows."""
        from avalanche_assets.inventory.labels import count_states, interval_costs, label_corridors

        day, layout = context.partition_key, pipeline.layout
        current, previous = pipeline.catalogue.get(day), pipeline.catalogue.previous(day)
        corridors_table = read_geotable(layout.corridors, CORRIDORS)
        events = read_table(layout.avalanche_events, AVALANCHE_EVENTS)
        recent_days = pipeline.settings.inventory.recent_days
        table = label_corridors(corridors_table, events, current, previous, recent_days)
        costs = interval_costs(corridors_table, events, [(previous, current)], recent_days)
        path = layout.corridor_labels(day)
        write_table(path, table, CORRIDOR_LABELS)
        return dg.MaterializeResult(
            metadata=table_metadata(path, table.num_rows, CORRIDOR_LABELS)
            | {
                "previous acquisition": str(previous.date) if previous else "none",
                **count_states(table),
                "labels by interval rule": interval_costs_table(costs),
            },
            data_version=data_version(sha256(path)),
        )

    return corridor_labels
