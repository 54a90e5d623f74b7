"""Terrain: elevation model, slope and aspect, and the track's static geometry."""

import dagster as dg

from avalanche_assets.assets.common import OWNERS, after, data_version, picture, rounded
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.errors import TableError
from avalanche_assets.files import sha256
from avalanche_assets.resources.pipeline import Pipeline

GROUP = "terrain"


def terrain_assets() -> list[dg.AssetsDefinition]:
    """`dem` and `slope_aspect`."""

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"cog"}, code_version="1")
    def dem(pipeline: Pipeline) -> dg.MaterializeResult:
        """Ellipsoidal heights on the analysis grid, in metres."""
        import numpy as np

        from avalanche_assets.rasters import write_cog
        from avalanche_assets.reporting.figures import hillshade_map
        from avalanche_assets.reporting.style import png
        from avalanche_assets.terrain.dem import prepare_dem

        terrain = pipeline.settings.terrain
        assert terrain is not None  # the asset exists only with an elevation model
        grid, heights = prepare_dem(
            terrain.dem, pipeline.settings.grid, terrain.vertical_datum, terrain.geoid_grid
        )
        path = pipeline.layout.dem
        write_cog(path, {"elevation": heights}, grid, {"elevation": "m"}, {"vertical_datum": "ellipsoidal"})
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "grid": f"{grid.crs}, {grid.width} x {grid.height} px of {grid.resolution} m",
                "lowest (m)": rounded(np.nanmin(heights)),
                "highest (m)": rounded(np.nanmax(heights)),
                "without value (share)": rounded(np.isnan(heights).mean()),
                "hillshade": picture(png(hillshade_map(heights, grid))),
            },
            data_version=data_version(sha256(path)),
        )

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"cog"}, code_version="1", deps=[after(dem)])
    def slope_aspect(pipeline: Pipeline) -> dg.MaterializeResult:
        """Horn slope and aspect of the elevation model, in degrees."""
        import numpy as np

        from avalanche_assets.rasters import read_bands, read_grid, write_cog
        from avalanche_assets.reporting.figures import slope_map
        from avalanche_assets.reporting.style import png
        from avalanche_assets.terrain.slope import horn_slope_aspect

        grid = read_grid(pipeline.layout.dem)
        heights = read_bands(pipeline.layout.dem)["elevation"]
        slope, aspect = horn_slope_aspect(heights, grid.resolution)
        path = pipeline.layout.slope_aspect
        write_cog(path, {"slope": slope, "aspect": aspect}, grid, {"slope": "deg", "aspect": "deg"})
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "median slope (deg)": rounded(np.nanmedian(slope)),
                "28 to 55 deg (share)": rounded(np.nanmean((slope >= 28) & (slope <= 55))),
                "slope": picture(png(slope_map(slope, grid))),
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
        code_version="1",
        deps=[after(dem), after(orbit_files, partitions.geometry_date)],
    )
    def track_geometry(pipeline: Pipeline) -> dg.MaterializeResult:
        """Incidence, local incidence, layover and shadow: static for the track, from its first orbit.

        The orbital tube of 100 m changes incidence by 0.006 degrees, so one orbit serves all dates.
        """
        import numpy as np

        from avalanche_assets.rasters import read_bands, read_grid, write_cog
        from avalanche_assets.reporting.figures import incidence_map
        from avalanche_assets.reporting.style import png
        from avalanche_assets.sentinel1.orbit import Orbit
        from avalanche_assets.sentinel1.visibility import Visibility
        from avalanche_assets.sentinel1.visibility import track_geometry as geometry_of

        grid = read_grid(pipeline.layout.dem)
        heights = read_bands(pipeline.layout.dem)["elevation"]
        days = [day for day in pipeline.catalogue.dates() if pipeline.layout.orbit_files(day).exists()]
        if not days:
            raise TableError(
                f"{pipeline.layout.orbit_files('<date>')}: no date has an orbit; materialise orbit_files"
            )
        day = days[0]
        orbit = Orbit.from_json(pipeline.layout.orbit_files(day).read_text(encoding="utf-8"))
        geometry = geometry_of(orbit, heights, grid)
        path = pipeline.layout.track_geometry
        write_cog(
            path,
            {
                "incidence": geometry.incidence_deg,
                "local_incidence": geometry.local_incidence_deg,
                "visibility": geometry.visibility.astype(np.float32),
            },
            grid,
            {"incidence": "deg", "local_incidence": "deg", "visibility": "bit flags"},
            {"orbit_date": day, "orbit_source": orbit.source},
        )
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "orbit of": day,
                "layover (share)": rounded(((geometry.visibility & Visibility.LAYOVER) > 0).mean()),
                "shadow (share)": rounded(((geometry.visibility & Visibility.SHADOW) > 0).mean()),
                "median incidence (deg)": rounded(np.nanmedian(geometry.incidence_deg)),
                "local incidence": picture(
                    png(incidence_map(geometry.local_incidence_deg, geometry.visibility == 0, grid))
                ),
            },
            data_version=data_version(sha256(path)),
        )

    return track_geometry
