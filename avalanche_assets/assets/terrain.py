"""Terrain: elevation model, slope and aspect, and the track's static geometry."""

from pathlib import Path
from typing import Any

import dagster as dg

from avalanche_assets.assets.common import OWNERS, after, data_version, picture, rounded
from avalanche_assets.assets.transfers import TransferLog
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.errors import TableError
from avalanche_assets.files import sha256
from avalanche_assets.grid import Grid
from avalanche_assets.resources.pipeline import Pipeline

GROUP = "terrain"
GEOMETRY_VERSION = "2"
"""To be raised when the track geometry would come out differently from the same inputs."""
GEOMETRY_UNITS = {"incidence": "deg", "local_incidence": "deg", "visibility": "bit flags", "flattening": "1"}


def terrain_assets() -> list[dg.AssetsDefinition]:
    """`dem` and `slope_aspect`."""

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"cog"}, code_version="1")
    def dem(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Ellipsoidal heights on the analysis grid, in metres."""
        import numpy as np

        from avalanche_assets.rasters import write_cog
        from avalanche_assets.reporting.figures import hillshade_map
        from avalanche_assets.reporting.style import png

        grid, heights, source = _heights(context, pipeline)
        path = pipeline.layout.dem
        tags = {"vertical_datum": "ellipsoidal"}
        if "attribution" in source:
            tags["attribution"] = source["attribution"]
        write_cog(path, {"elevation": heights}, grid, {"elevation": "m"}, tags)
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "grid": f"{grid.crs}, {grid.width} x {grid.height} px of {grid.resolution} m",
                "lowest (m)": rounded(np.nanmin(heights)),
                "highest (m)": rounded(np.nanmax(heights)),
                "without value (share)": rounded(np.isnan(heights).mean()),
                "hillshade": picture(png(hillshade_map(heights, grid))),
                **source,
            },
            data_version=data_version(sha256(path)),
        )

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"cog"}, code_version="1", deps=[after(dem)])
    def slope_aspect(pipeline: Pipeline) -> dg.MaterializeResult:
        """Horn slope and aspect of the elevation model, in degrees."""
        import numpy as np

        from avalanche_assets.rasters import read_bands, read_grid
        from avalanche_assets.reporting.figures import slope_map
        from avalanche_assets.reporting.style import png
        from avalanche_assets.terrain.slope import write_slope_aspect

        path = pipeline.layout.slope_aspect
        write_slope_aspect(pipeline.layout.dem, path)
        slope = read_bands(path, ["slope"])["slope"]
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "median slope (deg)": rounded(np.nanmedian(slope)),
                "28 to 55 deg (share)": rounded(np.nanmean((slope >= 28) & (slope <= 55))),
                "slope": picture(png(slope_map(slope, read_grid(path)))),
            },
            data_version=data_version(sha256(path)),
        )

    return [dem, slope_aspect]


def track_geometry_asset(
    partitions: Partitions, dem: dg.AssetsDefinition, orbit_files: dg.AssetsDefinition
) -> dg.AssetsDefinition:
    """`track_geometry` of the configured track."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"sentinel1", "cog"},
        code_version=GEOMETRY_VERSION,
        deps=[after(dem), after(orbit_files, partitions.geometry_date)],
    )
    def track_geometry(pipeline: Pipeline) -> dg.MaterializeResult:
        """Local incidence, layover, shadow, terrain flattening: static for the track, from its first orbit.

        The orbital tube of 100 m changes incidence by 0.006 degrees, so one orbit serves all dates. What is
        stored already for this orbit, elevation model and grid is kept.
        """
        import numpy as np

        from avalanche_assets.rasters import read_bands, read_grid
        from avalanche_assets.reporting.figures import incidence_map
        from avalanche_assets.reporting.style import png
        from avalanche_assets.sentinel1.visibility import Visibility

        path = pipeline.layout.track_geometry
        tags = _geometry_tags(pipeline)
        kept = _stored_with(path, tags)
        if not kept:
            _write_geometry(pipeline, tags)
        incidence = read_bands(path, ["incidence"])["incidence"]
        median = np.nanmedian(incidence)
        del incidence
        bands = read_bands(path, ["local_incidence", "visibility"])
        flags = bands["visibility"].astype(np.uint8)
        figure = incidence_map(bands["local_incidence"], flags == 0, read_grid(path))
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "orbit of": tags["orbit_date"],
                "orbit source": tags["orbit_source"],
                "orbit file": tags["orbit_file"],
                "kept as stored": kept,
                "layover (share)": rounded(((flags & Visibility.LAYOVER) > 0).mean()),
                "shadow (share)": rounded(((flags & Visibility.SHADOW) > 0).mean()),
                "median incidence (deg)": rounded(median),
                "local incidence": picture(png(figure)),
            },
            data_version=data_version(sha256(path)),
        )

    return track_geometry


def _heights(context: dg.AssetExecutionContext, pipeline: Pipeline) -> tuple[Grid, Any, dict[str, Any]]:
    """Grid and heights of the elevation model, and what the UI says of where they come from."""
    from avalanche_assets.terrain.dem import prepare_dem
    from avalanche_assets.terrain.glo30 import prepare_glo30
    from avalanche_assets.terrain.glo30_tiles import ATTRIBUTION

    settings = pipeline.settings
    terrain = settings.terrain
    assert terrain is not None  # the asset exists only with an elevation model
    if terrain.dem is not None:
        grid, heights = prepare_dem(terrain.dem, settings.grid, terrain.vertical_datum, terrain.geoid_grid)
        return grid, heights, {"source": str(terrain.dem)}
    grid, heights, tiles = prepare_glo30(settings, TransferLog(context.log))
    if tiles.missing:
        context.log.warning(f"no tile there, only sea or not released: {', '.join(tiles.missing)}")
    return (
        grid,
        heights,
        {
            "source": terrain.glo30_url,
            "tiles": len(tiles.paths),
            "tiles fetched now": len(tiles.fetched),
            "tiles not there": ", ".join(tiles.missing) or "none",
            "bytes of tiles": tiles.size_bytes,
            "attribution": ATTRIBUTION,
            "retrieved": f"{tiles.retrieved:%Y-%m-%d %H:%M} UTC",
        },
    )


def _geometry_tags(pipeline: Pipeline) -> dict[str, str]:
    """What the track geometry is computed from: orbit, elevation model with its grid, and our code."""
    from avalanche_assets.sentinel1.orbit import Orbit

    layout = pipeline.layout
    days = [day for day in pipeline.catalogue.dates() if layout.orbit_files(day).exists()]
    if not days:
        raise TableError(f"{layout.orbit_files('<date>')}: no date has an orbit; materialise orbit_files")
    orbit = Orbit.from_json(layout.orbit_files(days[0]).read_text(encoding="utf-8"))
    return {
        "orbit_date": days[0],
        "orbit_source": orbit.source,
        "orbit_file": orbit.file or "none",
        "orbit_sha256": sha256(layout.orbit_files(days[0])),
        "dem_sha256": sha256(layout.dem),
        "code_version": GEOMETRY_VERSION,
    }


def _stored_with(path: Path, tags: dict[str, str]) -> bool:
    from avalanche_assets.rasters import read_tags

    try:
        return read_tags(path).items() >= tags.items()
    except TableError:
        return False


def _write_geometry(pipeline: Pipeline, tags: dict[str, str]) -> None:
    from avalanche_assets.rasters import STREAM_PX, cog_writer, read_bands, read_grid
    from avalanche_assets.sentinel1.orbit import Orbit
    from avalanche_assets.sentinel1.track_geometry import track_geometry

    layout = pipeline.layout
    orbit = Orbit.from_json(layout.orbit_files(tags["orbit_date"]).read_text(encoding="utf-8"))
    grid = read_grid(layout.dem)
    geometry = track_geometry(orbit, read_bands(layout.dem)["elevation"], grid)
    bands: dict[str, Any] = {
        "incidence": geometry.incidence_deg,
        "local_incidence": geometry.local_incidence_deg,
        "visibility": geometry.visibility,
        "flattening": geometry.flattening,
    }
    with cog_writer(layout.track_geometry, GEOMETRY_UNITS, grid, tags) as write:
        for window in grid.tiles(STREAM_PX):
            write(window, {name: values[window.slices] for name, values in bands.items()})
