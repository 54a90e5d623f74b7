"""Patches: terrain once per corridor, VV*/VH* and labels per date."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg

from avalanche_assets.assets.common import (
    OWNERS,
    after,
    data_version,
    interval_costs_table,
    markdown_table,
    note,
    picture,
    table_metadata,
)
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.files import sha256
from avalanche_assets.grid import Window
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.tables import (
    AVALANCHE_EVENTS,
    CORRIDOR_LABELS,
    CORRIDOR_PATCHES,
    CORRIDORS,
    SCENE_LEVELS,
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
        code_version="2",
        deps=[after(asset) for asset in (dem, slope_aspect, corridors, track_geometry) if asset is not None],
    )
    def terrain_patches(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Elevation, slope, aspect, local incidence and visibility around every deposit point."""
        import numpy as np

        from avalanche_assets.backscatter.coverage import patch_holes
        from avalanche_assets.patches.cutting import cut_terrain_patches
        from avalanche_assets.rasters import read_bands, read_grid

        layout, grid = pipeline.layout, read_grid(pipeline.layout.dem)
        heights = read_bands(layout.dem)["elevation"]
        corridors_table = read_geotable(layout.corridors, CORRIDORS)

        def read(window: Window) -> dict[str, Any]:
            bands = read_bands(layout.slope_aspect, None, window)
            bands["visible"] = _visible(pipeline, window, track_geometry)
            if track_geometry is None:
                return {**bands, "local_incidence": np.full(bands["slope"].shape, np.nan, np.float32)}
            return {**bands, **read_bands(layout.track_geometry, ["local_incidence"], window)}

        looks = None if track_geometry is None else _looks(pipeline, corridors_table, grid.crs)
        table = cut_terrain_patches(corridors_table, grid, heights, read, looks)
        write_table(layout.terrain_patches, table, TERRAIN_PATCHES)
        metadata = table_metadata(layout.terrain_patches, table.num_rows, TERRAIN_PATCHES)
        terrain = pipeline.settings.terrain
        model = (terrain and terrain.dem) or layout.glo30_tiles
        if terrain and (holes := patch_holes(corridors_table, grid, heights, model)):
            context.log.warning(holes)
            metadata["holes of the elevation model"] = holes
        return dg.MaterializeResult(
            metadata=metadata,
            data_version=data_version(sha256(layout.terrain_patches)),
        )

    return terrain_patches


def _visible(pipeline: Pipeline, window: Window, track_geometry: dg.AssetsDefinition | None) -> Any:
    """Neither layover nor shadow, in a window; without track geometry everything counts as visible."""
    import numpy as np

    from avalanche_assets.rasters import read_bands
    from avalanche_assets.sentinel1.visibility import unobstructed

    if track_geometry is None:
        return np.ones((window.height, window.width), bool)
    return unobstructed(read_bands(pipeline.layout.track_geometry, ["visibility"], window)["visibility"])


def _star_and_terrain(
    pipeline: Pipeline, star: Path, track_geometry: dg.AssetsDefinition | None, opened: ExitStack
) -> Any:
    """Reads windows of a date's VV* and VH* with what is visible there and how high it lies."""
    import numpy as np

    from avalanche_assets.rasters import bands_reader
    from avalanche_assets.sentinel1.visibility import unobstructed

    layout, has_terrain = pipeline.layout, pipeline.settings.terrain is not None
    read_star = opened.enter_context(bands_reader(star, ["vv_star", "vh_star"]))
    read_height = has_terrain and opened.enter_context(bands_reader(layout.dem, ["elevation"]))
    read_flags = track_geometry and opened.enter_context(bands_reader(layout.track_geometry, ["visibility"]))

    def read(window: Window) -> dict[str, Any]:
        shape = window.height, window.width
        return {
            **read_star(window),
            **(read_height(window) if read_height else {"elevation": np.full(shape, np.nan, np.float32)}),
            "visible": unobstructed(read_flags(window)["visibility"]) if read_flags else np.ones(shape, bool),
        }

    return read


def _looks(pipeline: Pipeline, corridors: Any, crs: str) -> Any:
    """Directions of look at the deposit points, from the orbit that the track geometry was computed with."""
    from avalanche_assets.rasters import read_tags
    from avalanche_assets.sentinel1.look import look_azimuth_deg
    from avalanche_assets.sentinel1.orbit import Orbit

    day = read_tags(pipeline.layout.track_geometry)["orbit_date"]
    orbit = Orbit.from_json(pipeline.layout.orbit_files(day).read_text(encoding="utf-8"))
    columns = ("deposit_x", "deposit_y", "deposit_elevation_m")
    x, y, height = (corridors[name].to_numpy("float64") for name in columns)
    return look_azimuth_deg(orbit, x, y, height, crs)


def corridor_patches_asset(
    partitions: Partitions,
    vv_vh_star: dg.AssetsDefinition,
    corridors: dg.AssetsDefinition,
    track_geometry: dg.AssetsDefinition | None,
    dem: dg.AssetsDefinition | None,
) -> dg.AssetsDefinition:
    """`corridor_patches`, with visibility and heights where there is terrain."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="2",
        partitions_def=partitions.winter_dates,
        deps=[
            *(after(asset) for asset in (vv_vh_star, corridors, track_geometry, dem) if asset is not None),
            partitions.its_products,
        ],
    )
    def corridor_patches(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """64 x 64 pixels of VV* and VH* around every deposit point, with quality fractions.

        The previous acquisition's patches are read from its own partition, never stored twice.
        """
        import pyarrow.compute as pc

        from avalanche_assets.patches.cutting import cut_corridor_patches
        from avalanche_assets.rasters import read_grid
        from avalanche_assets.reporting.learning_figures import patch_sheet
        from avalanche_assets.reporting.style import png

        day, layout, settings = context.partition_key, pipeline.layout, pipeline.settings
        star, current = layout.vv_vh_star(day), pipeline.catalogue.get(day).date

        with ExitStack() as opened:
            table, levels = cut_corridor_patches(
                read_geotable(layout.corridors, CORRIDORS),
                read_grid(star),
                current,
                _star_and_terrain(pipeline, star, track_geometry, opened),
                settings.backscatter.wet_snow_db,
            )
        path = layout.corridor_patches(day)
        write_table(layout.scene_levels(day), levels.to_table(current), SCENE_LEVELS)
        write_table(path, table, CORRIDOR_PATCHES)
        names = table["corridor_id"].to_pylist()[:SHOWN]
        shown = table["vv_star"].combine_chunks().to_numpy_ndarray()[:SHOWN]
        fractions = ("valid_fraction", "visible_fraction", "wet_snow_fraction")
        return dg.MaterializeResult(
            metadata=table_metadata(path, table.num_rows, CORRIDOR_PATCHES)
            | {f"mean {name}": pc.mean(table[name]).as_py() for name in fractions}
            | {
                "level by elevation": markdown_table(
                    ["elevation (m)", "VV* (dB)", "VH* (dB)", "pixels"],
                    [list(row.values())[1:] for row in levels.to_table(current).to_pylist()],
                )
            }
            | {"first patches": picture(png(patch_sheet(shown, names, "VV*", note(pipeline, day))))},
            data_version=data_version(sha256(path), sha256(layout.scene_levels(day))),
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
