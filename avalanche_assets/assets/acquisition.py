"""Acquisition: which dates exist, their verified products, their orbits."""

import json
from dataclasses import asdict

import dagster as dg

from avalanche_assets.assets.common import OWNERS, after, data_version, markdown_table, rounded
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import write_catalogue
from avalanche_assets.files import write_text
from avalanche_assets.resources.code_location import CodeLocation
from avalanche_assets.resources.pipeline import Pipeline

GROUP = "acquisition"


def acquisition_catalogue_asset() -> dg.AssetsDefinition:
    """`acquisition_catalogue`, the only asset that needs no partition of its own."""

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"csv"}, code_version="1")
    def acquisition_catalogue(pipeline: Pipeline, code_location: CodeLocation) -> dg.MaterializeResult:
        """The dates on which the configured orbit was acquired, their products, role and season.

        Partitions are built from this table; when it grows, the code location reloads itself.
        """
        from avalanche_assets.catalogue.sources import list_source

        known = pipeline.catalogue.acquisitions
        listing = list_source(pipeline.settings)
        found = listing.acquisitions
        write_catalogue(pipeline.layout.acquisition_catalogue, found)
        reloaded = code_location.reload() if {a.date for a in found} != {a.date for a in known} else False
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(pipeline.layout.acquisition_catalogue),
                "dagster/row_count": len(found),
                "incomplete": sum(not item.complete for item in found),
                "code location reloaded": reloaded,
                "passed over": markdown_table(
                    ["product", "kept instead", "reason"],
                    [(item.name, item.kept, item.reason) for item in listing.dropped],
                ),
                "acquisitions": markdown_table(
                    ["date", "platform", "orbit", "role", "season", "products", "complete"],
                    [
                        (a.date, a.platform, a.absolute_orbit, a.role, a.season, len(a.products), a.complete)
                        for a in found
                    ],
                ),
            },
            data_version=data_version(*found),
        )

    return acquisition_catalogue


def product_assets(
    partitions: Partitions, acquisition_catalogue: dg.AssetsDefinition
) -> list[dg.AssetsDefinition]:
    """`s1_products` and `orbit_files`."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"sentinel1", "safe"},
        code_version="1",
        partitions_def=partitions.all_dates,
        deps=[after(acquisition_catalogue)],
    )
    def s1_products(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The products of one acquisition, opened and checked: kind, orbit, both polarisations, rasters."""
        from avalanche_assets.catalogue.safe_folder import check_products

        day = context.partition_key
        acquisition = pipeline.catalogue.get(day)
        records = check_products(pipeline.settings.source.folder, acquisition, pipeline.settings.track)
        write_text(
            pipeline.layout.s1_products(day), json.dumps([asdict(r) for r in records], indent=1, default=str)
        )
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(pipeline.layout.s1_products(day))),
                "bytes": sum(record.size_bytes for record in records),
                "slices": len(records),
                "complete": acquisition.complete,
                "products": markdown_table(
                    ["product", "IPF", "lines x samples", "MB"],
                    [
                        (r.name, r.ipf_version, f"{r.lines} x {r.samples}", f"{r.size_bytes / 1e6:.1f}")
                        for r in records
                    ],
                ),
            },
            data_version=data_version(*[(r.name, r.size_bytes, r.manifest_sha256) for r in records]),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"sentinel1", "json"},
        code_version="2",
        partitions_def=partitions.all_dates,
        deps=[after(s1_products)],
    )
    def orbit_files(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The platform's path during one acquisition: the best state vectors there are, and their origin."""
        from datetime import timedelta

        from avalanche_assets.catalogue.orbits import POEORB_DAYS, pass_orbit
        from avalanche_assets.catalogue.safe_folder import open_products

        day, source = context.partition_key, pipeline.settings.source
        acquisition = pipeline.catalogue.get(day)
        chosen = pass_orbit(open_products(source.folder, acquisition), source.orbits)
        orbit, file = chosen.orbit, chosen.file
        text = orbit.to_json()
        write_text(pipeline.layout.orbit_files(day), text)
        later = f"POEORB, from {acquisition.date + timedelta(days=POEORB_DAYS)}"
        apart = zip(("along", "across", "above"), chosen.from_annotation_m or (), strict=False)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(pipeline.layout.orbit_files(day))),
                "source": orbit.source,
                "file": orbit.file or "none: state vectors of the products",
                "validity": f"{file.start} to {file.stop}" if file else "the products' images",
                "more precise to expect": "none" if orbit.source == "POEORB" else later,
                "annotated orbit": chosen.annotated_source or "origin not annotated",
                **{f"from annotated orbit, {way} (m)": rounded(metres) for way, metres in apart},
                "state vectors": len(orbit.times),
            },
            data_version=data_version(text),
        )

    return [s1_products, orbit_files]
