"""Detection: scores, detections and bulletin of every date, and the season's report."""

import dagster as dg

from avalanche_assets.assets.common import (
    OWNERS,
    after,
    analysis_grid,
    counts_table,
    data_version,
    picture,
    rounded,
    table_metadata,
)
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.files import sha256
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.tables import ANOMALY_SCORES, CORRIDORS, DETECTIONS, read_geotable, write_table

GROUP = "detection"


def anomaly_scores_asset(
    partitions: Partitions,
    corridor_patches: dg.AssetsDefinition,
    change_threshold: dg.AssetsDefinition,
    terrain_patches: dg.AssetsDefinition | None,
    vae: dg.AssetsDefinition | None,
) -> dg.AssetsDefinition:
    """`anomaly_scores`; without terrain and model only detectors that need neither."""
    deps = [after(corridor_patches, partitions.this_and_previous), partitions.its_products]
    deps += [after(asset) for asset in (change_threshold, terrain_patches, vae) if asset is not None]
    names = ("change_threshold", "vae", "vae_local") if vae else ("change_threshold",)

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="1",
        partitions_def=partitions.winter_dates,
        deps=deps,
        check_specs=[
            dg.AssetCheckSpec(
                "scene_change",
                asset="anomaly_scores",
                description="VV of the whole scene moved less than backscatter.drift_warning_db since the "
                "previous acquisition; melt, refreeze or a calibration step move everything at once",
            )
        ],
    )
    def anomaly_scores(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """How anomalous every corridor looks at this date, for every detector."""
        import math

        from avalanche_assets.backscatter.star import scene_change_db
        from avalanche_assets.detection.scoring import score_table
        from avalanche_assets.detectors.base import model_name
        from avalanche_assets.patches.correction import load_as_set
        from avalanche_assets.patches.loading import load_samples

        day, layout, settings = context.partition_key, pipeline.layout, pipeline.settings
        acquisition, previous = pipeline.catalogue.get(day), pipeline.catalogue.previous(day)
        raw = load_samples(layout, pipeline.catalogue, [day], detection=settings.detection)
        # The check below looks at the scene as it is.
        vv = raw.samples.channel("vv_star"), raw.samples.channel("vv_star_old")
        change, limit = scene_change_db(*vv), settings.backscatter.drift_warning_db
        loaded = load_as_set(settings, pipeline.catalogue, [day])
        corridors = read_geotable(layout.corridors, CORRIDORS)
        folders = {name: layout.model(model_name(name)) for name in names}
        table = score_table(loaded, corridors, analysis_grid(pipeline), folders, acquisition, previous)
        path = layout.anomaly_scores(day)
        write_table(path, table, ANOMALY_SCORES)

        reasons = table.to_pandas().drop_duplicates("corridor_id")["reason"].dropna()
        metadata = table_metadata(path, table.num_rows, ANOMALY_SCORES) | {
            "previous acquisition": str(previous.date) if previous else "none",
            "not observable": counts_table(reasons.value_counts().to_dict(), "reason"),
        }
        if previous is not None:
            metadata["gap (days)"] = (acquisition.date - previous.date).days
        if not math.isnan(change):
            metadata["scene change VV (dB)"] = rounded(change)
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name="scene_change",
                    # Unknown is not alarming: there is then nothing to compare either.
                    passed=math.isnan(change) or abs(change) <= limit,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={
                        "change (dB)": "unknown: no common pixel" if math.isnan(change) else rounded(change),
                        "limit (dB)": limit,
                        "date": day,
                    },
                )
            ],
            data_version=data_version(sha256(path)),
        )

    return anomaly_scores


def detection_assets(
    partitions: Partitions,
    anomaly_scores: dg.AssetsDefinition,
    corridor_patches: dg.AssetsDefinition,
    *upstream: dg.AssetsDefinition,
) -> list[dg.AssetsDefinition]:
    """`detections`, `bulletin`, `season_report`; `upstream` are thresholds, detectors and evaluation."""
    thresholds, vae, change_threshold, evaluation = upstream

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"geoparquet"},
        code_version="2",
        partitions_def=partitions.winter_dates,
        deps=[
            after(anomaly_scores, partitions.season_so_far),
            after(corridor_patches, partitions.this_and_previous),
            partitions.its_products,
            after(thresholds),
            after(vae),
            after(change_threshold),
        ],
    )
    def detections(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Every corridor at this date: detected with its evidence, quiet, or not observable and why."""
        from avalanche_assets.detection.run import detections_of_date
        from avalanche_assets.tables import write_geotable

        day, path = context.partition_key, pipeline.layout.detections(context.partition_key)
        frame = detections_of_date(pipeline.settings, pipeline.catalogue, day)
        write_geotable(path, frame, DETECTIONS)
        found = frame[frame["is_detection"]]
        return dg.MaterializeResult(
            metadata=table_metadata(path, len(frame), DETECTIONS)
            | {
                "detections": len(found),
                "new": int((found["new_or_persisting"] == "new").sum()),
                "persisting": int((found["new_or_persisting"] == "persisting").sum()),
                "not observable": int((~frame["observable"]).sum()),
                "by massif": counts_table(found["massif"].value_counts().to_dict(), "massif"),
            },
            data_version=data_version(sha256(path)),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"html", "geopackage"},
        code_version="1",
        partitions_def=partitions.winter_dates,
        deps=[after(detections), partitions.its_products],
    )
    def bulletin(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The date as forecasters see it: page, map, and GeoPackage with a QGIS style."""
        from avalanche_assets.reporting.publish import publish_bulletin

        published = publish_bulletin(pipeline.settings, pipeline.catalogue, context.partition_key)
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(str(published.page)),
                "geopackage": dg.MetadataValue.path(str(published.geopackage)),
                "map": picture(published.thumbnail),
            },
            data_version=data_version(sha256(published.map)),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"html"},
        code_version="1",
        partitions_def=partitions.seasons,
        deps=[after(bulletin, partitions.date_of_season), after(evaluation)],
    )
    def season_report(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Activity over the season, detections per massif, and how good the detectors are."""
        from avalanche_assets.reporting.publish import publish_season_report

        published = publish_season_report(pipeline.settings, pipeline.catalogue, context.partition_key)
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(str(published.page)),
                "detections": published.detections,
                "activity": picture(published.thumbnail),
            },
            data_version=data_version(sha256(published.page)),
        )

    return [detections, bulletin, season_report]
