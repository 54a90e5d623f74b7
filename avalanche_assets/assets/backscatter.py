"""Backscatter: sigma0 of every acquisition, its snow-free reference, VV* and VH* of every winter date."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from avalanche_assets.assets.common import (
    OWNERS,
    after,
    analysis_grid,
    data_version,
    in_db,
    note,
    picture,
    rounded,
)
from avalanche_assets.automation.checks import GUARDS
from avalanche_assets.automation.made import refused
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.errors import TableError
from avalanche_assets.files import sha256
from avalanche_assets.resources.pipeline import Pipeline

if TYPE_CHECKING:
    from avalanche_assets.raster_summary import BandSummary

GROUP = "backscatter"
NOISE_TAG = "thermal_noise"
CONVENTION_TAG = "convention"
COMPARABLE = {
    NOISE_TAG: "dates with and without thermal noise must not be mixed, VH would be biased; take out the "
    "dates whose products were processed before IPF 2.50, or get them in a newer processing",
    CONVENTION_TAG: "sigma0 and flattened gamma0 must not be mixed, slopes would be biased; materialise "
    "sigma0 of all dates of the season and reference_sigma0 again with one backscatter.terrain_flattening",
}
"""Tags on which rasters must agree that are divided by each other, and what to do where they do not."""


def sigma0_from_products(
    partitions: Partitions, acquisition: dg.AssetSpec, *upstream: dg.AssetsDefinition
) -> dg.AssetsDefinition:
    """`sigma0` computed from SAFE products; `upstream` are products, orbits, terrain and corridors."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"sentinel1", "cog"},
        code_version="2",
        partitions_def=partitions.all_dates,
        deps=[after(asset) for asset in (acquisition, *upstream)],
    )
    def sigma0(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Calibrated, denoised, terrain-corrected backscatter in linear power.

        Only the blocks that corridor patches need are filled, unless `backscatter.full_swath` is set.
        """
        from avalanche_assets.backscatter.sigma0_file import write_sigma0
        from avalanche_assets.catalogue.products import ipf_text, open_products
        from avalanche_assets.patches.cutting import wanted_squares
        from avalanche_assets.rasters import read_grid
        from avalanche_assets.sentinel1.block_model import PART_PX
        from avalanche_assets.sentinel1.orbit import Orbit
        from avalanche_assets.sentinel1.sampling import EQUIVALENT_LOOKS
        from avalanche_assets.sentinel1.slices import SliceStack
        from avalanche_assets.tables import CORRIDORS, read_geotable

        day, layout, settings = context.partition_key, pipeline.layout, pipeline.settings
        stack = SliceStack.of(open_products(layout.s1_products(day)))
        orbit = Orbit.from_json(layout.orbit_files(day).read_text(encoding="utf-8"))
        grid, corridors = read_grid(layout.dem), read_geotable(layout.corridors, CORRIDORS)
        wanted = None if settings.backscatter.full_swath else wanted_squares(corridors, grid, PART_PX)
        flattened = settings.backscatter.terrain_flattening
        tags = {
            "products": " ".join(product.name for product in stack.products),
            "ipf": " ".join(sorted({ipf_text(product.ipf_version) for product in stack.products})),
            "orbit_source": orbit.source,
            "orbit_file": orbit.file or "none",
            CONVENTION_TAG: "gamma0, terrain flattened" if flattened else "sigma0, ellipsoid",
            "equivalent_looks": str(EQUIVALENT_LOOKS[grid.resolution]),
            NOISE_TAG: "removed" if stack.denoisable else "not removed: not annotated",
        }
        geometry = layout.track_geometry if flattened else None
        report = write_sigma0(layout.sigma0(day), stack, orbit, layout.dem, corridors, wanted, tags, geometry)
        return _sigma0_result(pipeline, day, report.vv, report.vh, {**tags, **report.coverage})

    return sigma0


def sigma0_from_rasters(partitions: Partitions, acquisition: dg.AssetSpec) -> dg.AssetsDefinition:
    """`sigma0` from ready-made terrain-corrected rasters, one GeoTIFF a date."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"cog"},
        code_version="1",
        partitions_def=partitions.all_dates,
        deps=[after(acquisition)],
    )
    def sigma0(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Ready-made terrain-corrected backscatter on the analysis grid in linear power."""
        import numpy as np

        from avalanche_assets.backscatter.ready_made import read_ready_made
        from avalanche_assets.backscatter.sigma0_file import UNITS
        from avalanche_assets.raster_summary import BandSummary
        from avalanche_assets.rasters import write_cog

        day, source = context.partition_key, pipeline.settings.source
        grid = analysis_grid(pipeline)
        name = pipeline.catalogue.get(day).products[0]
        bands = read_ready_made(source.folder / name, grid, source.raster_scale, source.raster_incidence_unit)
        stored = {"vv": bands["vv"], "vh": bands["vh"], "flags": np.zeros(grid.shape, np.float32)}
        tags = {"products": name, NOISE_TAG: "as delivered", CONVENTION_TAG: "as delivered"}
        write_cog(pipeline.layout.sigma0(day), stored, grid, UNITS, tags)
        vv, vh = (BandSummary.of(bands[name], grid) for name in ("vv", "vh"))
        return _sigma0_result(pipeline, day, vv, vh, tags)

    return sigma0


def _sigma0_result(
    pipeline: Pipeline, day: str, vv: "BandSummary", vh: "BandSummary", report: Mapping[str, int | str]
) -> dg.MaterializeResult:
    from avalanche_assets.reporting.figures import sigma0_map
    from avalanche_assets.reporting.style import png

    path = pipeline.layout.sigma0(day)
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": str(path),
            "filled (share)": rounded(vv.filled),
            "median VV (dB)": in_db(vv.median),
            "median VH (dB)": in_db(vh.median),
            **report,
            "sigma0": picture(png(sigma0_map(vv, "VV", note(pipeline, day)))),
        },
        data_version=data_version(sha256(path)),
    )


def _common_tags(paths: Sequence[Path]) -> dict[str, str]:
    """Tags that make rasters comparable; raises `TableError` where they differ."""
    from avalanche_assets.rasters import common_tag

    return {name: common_tag(paths, name, remedy) for name, remedy in COMPARABLE.items()}


def reference_assets(partitions: Partitions, sigma0: dg.AssetsDefinition) -> list[dg.AssetsDefinition]:
    """`reference_sigma0` and `vv_vh_star`."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"cog"},
        code_version="2",
        partitions_def=partitions.seasons,
        deps=[after(sigma0, partitions.reference_of_season)],
    )
    def reference_sigma0(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Per-pixel median of the season's snow-free acquisitions, in linear power."""
        from avalanche_assets.backscatter.star import reference_median
        from avalanche_assets.raster_summary import RunningSummary
        from avalanche_assets.rasters import STREAM_PX, cog_writer, read_bands, read_grid
        from avalanche_assets.reporting.figures import sigma0_map
        from avalanche_assets.reporting.style import png

        season, layout = context.partition_key, pipeline.layout
        role = "reference" if pipeline.settings.season.reference == "snow_free_median" else "winter"
        days = pipeline.catalogue.dates(role, season)
        if not days:
            raise dg.Failure(
                f"reference_sigma0 {season}: the catalogue holds no {role} acquisition of this season; add "
                f"products of months {pipeline.settings.season.reference_months} or set season.reference",
                allow_retries=False,
            )
        wanted, bad = days, refused(context.instance, GUARDS, "sigma0")
        days = [day for day in wanted if layout.sigma0(day).exists() and day not in bad]
        if not days:
            raise TableError(
                f"{layout.sigma0(wanted[0])}: none of the {role} dates {wanted} has sigma0 that passed its "
                "checks; materialise it"
            )
        path, grid = layout.reference_sigma0(season), read_grid(layout.sigma0(days[0]))
        tags = {"dates": " ".join(days), **_common_tags([layout.sigma0(day) for day in days])}
        vv = RunningSummary(grid)
        with cog_writer(path, {"vv": "1", "vh": "1"}, grid, tags) as write:
            for window in grid.tiles(STREAM_PX):
                stack = [read_bands(layout.sigma0(day), ["vv", "vh"], window) for day in days]
                medians = {name: reference_median([bands[name] for bands in stack]) for name in ("vv", "vh")}
                write(window, medians)
                vv.add(window, medians["vv"])
        summary = vv.summary()
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "dates": ", ".join(days),
                "dates left out": [day for day in wanted if day not in days],
                "median VV (dB)": in_db(summary.median),
                "reference": picture(
                    png(sigma0_map(summary, "VV", f"Reference {season}, median of {len(days)}"))
                ),
            },
            data_version=data_version(sha256(path)),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"cog"},
        code_version="2",
        partitions_def=partitions.winter_dates,
        deps=[
            after(sigma0, partitions.same_date),
            after(reference_sigma0, partitions.season_of_date),
            partitions.its_products,
        ],
    )
    def vv_vh_star(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Backscatter over the snow-free reference, in dB."""
        from avalanche_assets.backscatter.star import ratio_db
        from avalanche_assets.raster_summary import RunningSummary
        from avalanche_assets.rasters import STREAM_PX, cog_writer, read_bands, read_grid
        from avalanche_assets.reporting.figures import star_map
        from avalanche_assets.reporting.style import png

        day, layout = context.partition_key, pipeline.layout
        if reason := refused(context.instance, GUARDS, "sigma0").get(day):
            raise TableError(f"sigma0 {day}: {reason}")
        season = pipeline.catalogue.get(day).season
        current, reference = layout.sigma0(day), layout.reference_sigma0(season)
        common = _common_tags([current, reference])
        path, grid = layout.vv_vh_star(day), read_grid(current)
        tags = {"season": season, "reference": pipeline.settings.season.reference, **common}
        summaries = {name: RunningSummary(grid) for name in ("vv_star", "vh_star")}
        wet_db, wet_cells = pipeline.settings.backscatter.wet_snow_db, 0
        with cog_writer(path, dict.fromkeys(summaries, "dB"), grid, tags) as write:
            for window in grid.tiles(STREAM_PX):
                power, snow_free = (
                    read_bands(raster, ["vv", "vh"], window) for raster in (current, reference)
                )
                star = {f"{name}_star": ratio_db(power[name], snow_free[name]) for name in power}
                write(window, star)
                for name, values in star.items():
                    summaries[name].add(window, values)
                wet_cells += int((star["vv_star"] < wet_db).sum())
        vv, vh = (running.summary() for running in summaries.values())
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(path),
                "median VV* (dB)": rounded(vv.median),
                "median VH* (dB)": rounded(vh.median),
                "wet snow (share)": rounded(wet_cells / (grid.height * grid.width)),
                "VV*": picture(png(star_map(vv, "VV", note(pipeline, day)))),
            },
            data_version=data_version(sha256(path)),
        )

    return [reference_sigma0, vv_vh_star]
