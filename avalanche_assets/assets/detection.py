"""Detection: scores, detections and bulletin of every date, and the season's report."""

from collections.abc import Sequence
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
    rounded,
    table_metadata,
)
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.files import sha256
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDORS,
    DETECTIONS,
    PUBLISHED_SCORES,
    RESIDUALS,
    read_geotable,
    write_table,
)

GROUP = "detection"


def anomaly_scores_asset(
    partitions: Partitions,
    corridor_patches: dg.AssetsDefinition,
    terrain_patches: dg.AssetsDefinition | None,
    detectors: Sequence[dg.AssetsDefinition],
) -> dg.AssetsDefinition:
    """`anomaly_scores` of all `detectors`."""
    deps = [after(corridor_patches, partitions.this_and_previous), partitions.its_products]
    deps += [after(asset) for asset in (terrain_patches, *detectors) if asset is not None]
    names = [asset.key.to_user_string() for asset in detectors]

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="2",
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
        folders = {name: layout.model(name) for name in names}
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


def published_scores_asset(
    partitions: Partitions,
    anomaly_scores: dg.AssetsDefinition,
    corridor_patches: dg.AssetsDefinition,
    promoted_model: dg.AssetsDefinition,
) -> dg.AssetsDefinition:
    """`published_scores`: the promoted model's scores, normalised, with the check for drift."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="1",
        partitions_def=partitions.winter_dates,
        deps=[
            after(anomaly_scores),
            after(corridor_patches, partitions.this_and_previous),
            partitions.its_products,
            after(promoted_model),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "like_the_training_season",
                asset="published_scores",
                description="Scores, patches and alarms of the date lie in the range of the training season; "
                "another radar, processor or snow cover moves them",
            )
        ],
    )
    def published_scores(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The promoted model's scores of this date, in spreads above the date's median."""
        from avalanche_assets.detection.publishing import drift_of_date, publish_scores
        from avalanche_assets.detectors.registry import require_promoted

        day, settings = context.partition_key, pipeline.settings
        model, path = require_promoted(pipeline.layout), pipeline.layout.published_scores(day)
        table = publish_scores(settings, pipeline.catalogue, day, model)
        write_table(path, table, PUBLISHED_SCORES)
        drift = drift_of_date(settings, day, table, model.card)
        outside = [item.statistic for item in drift if item.outside]
        return dg.MaterializeResult(
            metadata=table_metadata(path, table.num_rows, PUBLISHED_SCORES)
            | {
                "model": model.version,
                "scored": table.num_rows - table["score"].null_count,
                "against the training season": markdown_table(
                    ["statistic", "this date", "training season", ""],
                    [
                        (
                            item.statistic,
                            f"{item.value:.4g}",
                            f"{item.training.lowest:.4g} to {item.training.highest:.4g}",
                            "outside" if item.outside else "",
                        )
                        for item in drift
                    ],
                ),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="like_the_training_season",
                    passed=not outside,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"outside": ", ".join(outside) or "nothing", "date": day},
                )
            ],
            data_version=data_version(sha256(path)),
        )

    return published_scores


def detection_assets(
    partitions: Partitions,
    published_scores: dg.AssetsDefinition,
    corridor_patches: dg.AssetsDefinition,
    promoted_model: dg.AssetsDefinition,
    evaluation: dg.AssetsDefinition,
) -> list[dg.AssetsDefinition]:
    """`detections`, `bulletin`, `season_report`."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"geoparquet"},
        code_version="3",
        partitions_def=partitions.winter_dates,
        deps=[
            after(published_scores, partitions.season_so_far),
            after(corridor_patches, partitions.this_and_previous),
            partitions.its_products,
            after(promoted_model),
        ],
    )
    def detections(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Every corridor at this date: detected with its evidence, quiet, or not observable and why."""
        from avalanche_assets.detection.run import detections_of_date
        from avalanche_assets.reporting.galleries import residual_picture
        from avalanche_assets.tables import write_geotable

        day, layout = context.partition_key, pipeline.layout
        path = layout.detections(day)
        frame, residuals = detections_of_date(pipeline.settings, pipeline.catalogue, day)
        write_table(layout.residuals(day), residuals, RESIDUALS)
        write_geotable(path, frame, DETECTIONS)
        found = frame[frame["is_detection"]]
        shown = {"residuals": picture(residual_picture(frame, residuals))} if len(found) else {}
        return dg.MaterializeResult(
            metadata=table_metadata(path, len(frame), DETECTIONS)
            | {
                "detections": len(found),
                "new": int((found["new_or_persisting"] == "new").sum()),
                "persisting": int((found["new_or_persisting"] == "persisting").sum()),
                "not observable": int((~frame["observable"]).sum()),
                "model": str(frame["detector_version"].iloc[0]),
                "reviewed": int(frame["review"].notna().sum()),
                "by massif": counts_table(found["massif"].value_counts().to_dict(), "massif"),
            }
            | shown,
            data_version=data_version(sha256(path)),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"html", "geopackage"},
        code_version="3",
        partitions_def=partitions.winter_dates,
        # Change since the previous date and activity so far come from the earlier dates' detections.
        deps=[after(detections, partitions.season_so_far), partitions.its_products],
    )
    def bulletin(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The date as forecasters see it: pages, maps, GeoPackage with a QGIS style, STAC item."""
        from avalanche_assets.reporting.publish import publish_bulletin

        published = publish_bulletin(pipeline.settings, pipeline.catalogue, context.partition_key)
        # An unknown index is no number to plot.
        index = {} if published.index is None else {"activity index": rounded(published.index)}
        metadata: dict[str, Any] = {
            "page": dg.MetadataValue.path(str(published.page)),
            "geopackage": dg.MetadataValue.path(str(published.geopackage)),
            "STAC item": dg.MetadataValue.path(str(published.item)),
            "map": picture(published.thumbnail),
            "new": published.counts.new,
            "not observable": published.counts.hidden,
        }
        return dg.MaterializeResult(
            metadata=metadata | index,
            data_version=data_version(sha256(published.page), sha256(published.geopackage)),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"html"},
        code_version="3",
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
