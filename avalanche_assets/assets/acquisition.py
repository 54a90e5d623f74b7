"""Acquisition: which dates exist, their verified products, their orbits."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from avalanche_assets.assets.common import OWNERS, after, data_version, markdown_table, rounded
from avalanche_assets.assets.past_season import season_metadata
from avalanche_assets.assets.transfers import TransferLog
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import (
    Acquisition,
    AcquisitionCatalogue,
    SourceListing,
    write_catalogue,
)
from avalanche_assets.files import write_text
from avalanche_assets.resources.code_location import CodeLocation
from avalanche_assets.resources.pipeline import Pipeline

GROUP = "acquisition"
DATA_VERSION_TAG = "dagster/data_version"
DOWNLOADS = "downloads"
"""Pool of the steps that use connections of the source's account; `dagster.yaml` limits it to four."""


class CatalogueConfig(dg.Config):
    """What to look for.

    Attributes:
        season: A whole past season to list beside what is new, such as ``2017-18``; empty for none.
    """

    season: str = ""


def acquisition_spec(partitions: Partitions, acquisition_catalogue: dg.AssetsDefinition) -> dg.AssetSpec:
    """`acquisition`: not made here but observed, so that dates whose products change are stale."""
    return dg.AssetSpec(
        "acquisition",
        deps=[after(acquisition_catalogue)],
        partitions_def=partitions.all_dates,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"sentinel1"},
        description=(
            "What the source offers for each date. `acquisition_catalogue` observes it: late, replaced or "
            "withdrawn products, or another previous acquisition, give the date another data version, and "
            "everything made from it is stale."
        ),
    )


def acquisition_catalogue_asset() -> dg.AssetsDefinition:
    """`acquisition_catalogue`, the only asset that needs no partition of its own."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"csv"},
        code_version="2",
        check_specs=[
            dg.AssetCheckSpec(
                "new_dates_arrive",
                asset="acquisition_catalogue",
                description="An acquisition has come within the last seven days, where one was predicted.",
            ),
            dg.AssetCheckSpec(
                "withdrawals_known",
                asset="acquisition_catalogue",
                description="The source has told within a day which products it withdrew.",
            ),
            dg.AssetCheckSpec(
                "late_checksums",
                asset="acquisition_catalogue",
                description="Fetched products have the MD5 that the source told of them only later.",
            ),
        ],
    )
    def acquisition_catalogue(
        context: dg.AssetExecutionContext,
        config: CatalogueConfig,
        pipeline: Pipeline,
        code_location: CodeLocation,
    ) -> dg.MaterializeResult:
        """The dates on which the configured orbit was acquired, their products, state, role and season.

        Partitions are built from this table; when it grows, the code location reloads itself.
        """
        from avalanche_assets.catalogue.sources import late_checksums, list_source, only_listing

        settings = pipeline.settings
        with only_listing(settings):
            listing = list_source(settings, datetime.now(UTC), config.season or None)
            found = AcquisitionCatalogue(listing.acquisitions, settings.season.max_gap_days)
            for day, version in changed_offers(pipeline.catalogue, found).items():
                item = found.get(day)
                _observe(context, item, version)
                if not item.complete:
                    context.log.warning(f"{day}: {item.state}: {item.reason}")
            # Only now: a version that is in the table counts as observed.
            write_catalogue(pipeline.layout.acquisition_catalogue, listing.acquisitions)
        wrong = late_checksums(settings)
        dates = [str(item.date) for item in listing.acquisitions]
        reloaded = code_location.reload_unless_loaded("acquisition", dates)
        # Ready-made rasters have no calendar, and nothing of them is fetched.
        listed = config.season if settings.source.kind != "raster_folder" else ""
        season = season_metadata(context, pipeline, code_location, listed) if listed else {}
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": str(pipeline.layout.acquisition_catalogue),
                "dagster/row_count": len(listing.acquisitions),
                "code location reloaded": reloaded,
                **_listing_metadata(listing),
                **season,
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not listing.warning,
                    severity=dg.AssetCheckSeverity.WARN,
                    check_name="new_dates_arrive",
                    description=listing.warning or None,
                ),
                dg.AssetCheckResult(
                    passed=not listing.withdrawals_warning,
                    severity=dg.AssetCheckSeverity.WARN,
                    check_name="withdrawals_known",
                    description=listing.withdrawals_warning or None,
                ),
                dg.AssetCheckResult(
                    passed=not wrong,
                    severity=dg.AssetCheckSeverity.WARN,
                    check_name="late_checksums",
                    description="; ".join(
                        [*wrong, "materialise s1_products of their dates to fetch them anew"]
                    )
                    if wrong
                    else None,
                ),
            ],
            data_version=data_version(*listing.acquisitions),
        )

    return acquisition_catalogue


def offers_by_date(catalogue: AcquisitionCatalogue) -> dict[date, str]:
    """Of every date, what it is made from: the version of its products, and the date it is compared with."""
    versions = {}
    for item in catalogue.acquisitions:
        previous = catalogue.previous(item.date)
        versions[item.date] = f"{item.version} after {previous.date}" if previous else item.version
    return versions


def changed_offers(known: AcquisitionCatalogue, found: AcquisitionCatalogue) -> dict[date, str]:
    """Dates to observe, with their data version: new ones, those made from something else, those now online.

    Coming online changes no product and so no version, but what failed for want of them can be made. Going
    offline changes nothing: what was fetched is there.
    """
    before, after = offers_by_date(known), offers_by_date(found)
    away = {item.date for item in known.acquisitions if item.state == "offline"}
    return {
        item.date: after[item.date]
        for item in found.acquisitions
        if before.get(item.date) != after[item.date] or (item.date in away and item.state != "offline")
    }


def _observe(context: dg.AssetExecutionContext, item: Acquisition, version: str) -> None:
    context.log_event(
        dg.AssetObservation(
            "acquisition",
            partition=str(item.date),
            description=item.reason or None,
            metadata={"state": item.state, "products": len(item.products), "bytes": item.size_bytes},
            tags={DATA_VERSION_TAG: version},
        )
    )


def _listing_metadata(listing: SourceListing) -> dict[str, dg.MetadataValue | int]:
    found = listing.acquisitions
    return {
        "not complete": sum(not item.complete for item in found),
        "waiting for slices": markdown_table(
            ["date", "platform", "orbit", "missing", "taken as it is from"],
            [
                (p.date, p.platform, p.absolute_orbit, p.reason, f"{p.due:%Y-%m-%d %H:%M} UTC")
                for p in listing.pending
            ],
        ),
        "passed over": markdown_table(
            ["product", "kept instead", "reason"],
            [(item.name, item.kept, item.reason) for item in listing.dropped],
        ),
        "acquisitions": markdown_table(
            ["date", "platform", "orbit", "role", "season", "products", "state", "reason"],
            [
                (a.date, a.platform, a.absolute_orbit, a.role, a.season, len(a.products), a.state, a.reason)
                for a in found
            ],
        ),
    }


def product_assets(partitions: Partitions, acquisition: dg.AssetSpec) -> list[dg.AssetsDefinition]:
    """`s1_products` and `orbit_files`."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"sentinel1", "safe"},
        code_version="2",
        partitions_def=partitions.all_dates,
        deps=[after(acquisition)],
        pool=DOWNLOADS,
    )
    def s1_products(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The products of one acquisition: fetched unless they are here, opened, every checksum compared.

        An interrupted download goes on where it ended; what was verified is not fetched again.
        """
        from avalanche_assets.catalogue.products import check_products, write_records
        from avalanche_assets.catalogue.sources import offers, open_catalogue

        day, settings = context.partition_key, pipeline.settings
        item, source = pipeline.catalogue.get(day), open_catalogue(settings)
        progress = TransferLog(context.log)
        paths = [source.fetch(offer, settings.source.folder, progress) for offer in offers(settings, item)]
        records = check_products(paths, settings.track)
        write_records(pipeline.layout.s1_products(day), records)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(pipeline.layout.s1_products(day))),
                "bytes": sum(record.size_bytes for record in records),
                "slices": len(records),
                "state": item.state,
                **({"reason": item.reason} if item.reason else {}),
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
        code_version="3",
        partitions_def=partitions.all_dates,
        deps=[after(s1_products)],
        pool=DOWNLOADS,
    )
    def orbit_files(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The platform's path during one acquisition: the best state vectors there are, and their origin."""
        from avalanche_assets.catalogue.orbits import (
            POEORB_DAYS,
            fetch_best_orbit_file,
            pass_orbit,
            refinable,
        )
        from avalanche_assets.catalogue.products import open_products
        from avalanche_assets.catalogue.sources import open_catalogue

        day, source = context.partition_key, pipeline.settings.source
        products = open_products(pipeline.layout.s1_products(day))
        first, last = products[0], products[-1]
        if source.remote and source.orbits is not None:
            fetch_best_orbit_file(
                open_catalogue(pipeline.settings),
                first.platform,
                first.start,
                last.stop,
                source.orbits,
                TransferLog(context.log),
            )
        chosen = pass_orbit(products, source.orbits)
        orbit, file = chosen.orbit, chosen.file
        text = orbit.to_json()
        write_text(pipeline.layout.orbit_files(day), text)
        precise_from = first.start.date() + timedelta(days=POEORB_DAYS)
        apart = zip(("along", "across", "above"), chosen.from_annotation_m or (), strict=False)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(pipeline.layout.orbit_files(day))),
                "source": orbit.source,
                "file": orbit.file or "none: state vectors of the products",
                "validity": f"{file.start} to {file.stop}" if file else "the products' images",
                "more precise to expect": "none"
                if orbit.source == "POEORB"
                else f"POEORB, from {precise_from}",
                "refinable": refinable(orbit, first.start.date(), datetime.now(UTC).date()),
                "annotated orbit": chosen.annotated_source or "origin not annotated",
                **{f"from annotated orbit, {way} (m)": rounded(metres) for way, metres in apart},
                "state vectors": len(orbit.times),
            },
            data_version=data_version(text),
        )

    return [s1_products, orbit_files]


def precise_orbits_check() -> dg.AssetChecksDefinition:
    """Which dates could have a better orbit by now."""

    @dg.asset_check(
        asset="orbit_files",
        name="precise_orbits",
        description="Dates older than three weeks use their precise orbit; the job refine_orbit fetches it.",
    )
    def precise_orbits(pipeline: Pipeline) -> dg.AssetCheckResult:
        from avalanche_assets.catalogue.orbits import refinable
        from avalanche_assets.sentinel1.orbit import Orbit

        source = pipeline.settings.source
        if source.orbits is None:
            return dg.AssetCheckResult(passed=True, description="annotated orbits, as the settings ask")
        by_hand = "" if source.fetches_orbits else f"put precise orbit files into {source.orbits}, then "
        today, days = datetime.now(UTC).date(), []
        for item in pipeline.catalogue.acquisitions:
            stored = pipeline.layout.orbit_files(item.date)
            if stored.exists():
                orbit = Orbit.from_json(stored.read_text(encoding="utf-8"))
                if refinable(orbit, item.date, today):
                    days.append(str(item.date))
        return dg.AssetCheckResult(
            passed=not days,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{by_hand}launch refine_orbit for {', '.join(days)}" if days else None,
            metadata={"refinable dates": len(days)},
        )

    return precise_orbits
