"""Learning: which dates train, the trained detectors, thresholds, and how good they are on unseen dates."""

from typing import Any

import dagster as dg

from avalanche_assets.assets.common import (
    OWNERS,
    after,
    data_version,
    markdown_table,
    picture,
    table_metadata,
)
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.files import sha256
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.tables import (
    CORRIDORS,
    EVALUATION,
    LABEL_WINDOWS,
    PATCH_SIZE,
    SCORE_BACKGROUND,
    THRESHOLDS,
    TRAINING_SPLIT,
    read_geotable,
    read_table,
    write_table,
)

GROUP = "learning"


def training_assets(
    partitions: Partitions,
    acquisition_catalogue: dg.AssetsDefinition,
    corridors: dg.AssetsDefinition,
    terrain_patches: dg.AssetsDefinition,
    corridor_patches: dg.AssetsDefinition,
    corridor_labels: dg.AssetsDefinition,
) -> list[dg.AssetsDefinition]:
    """`training_split` and one asset per trained detector."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="2",
        deps=[
            after(acquisition_catalogue),
            after(corridors),
            after(corridor_labels, partitions.learning_dates),
        ],
    )
    def training_split(pipeline: Pipeline) -> dg.MaterializeResult:
        """Which pairs of date and corridor train, validate and test, so that nothing is seen twice."""
        from avalanche_assets.detectors.split import separating_gap, shared_windows, split_samples
        from avalanche_assets.patches.pairs import positive_pairs

        catalogue, settings, layout = pipeline.catalogue, pipeline.settings, pipeline.layout
        previous = {
            catalogue.get(day).date: before.date
            for day in catalogue.dates("winter", settings.learning.season)
            if (before := catalogue.previous(day))
        }
        days, recent_days = list(previous), settings.inventory.recent_days
        window = settings.detection.label_window
        gap = separating_gap(days, settings.learning.gap_dates, window, recent_days)
        positives = positive_pairs(layout, days, window)
        patch_m = float(PATCH_SIZE * settings.grid.resolution_m)
        known = read_geotable(layout.corridors, CORRIDORS)
        table = split_samples(days, known, positives, settings.learning, gap, patch_m)
        path = layout.training_split
        write_table(path, table, TRAINING_SPLIT)
        rows = table.to_pandas().merge(positives.assign(positive=1), how="left")
        counts = rows.groupby("role").agg({"positive": "sum", "corridor_id": "count"})
        by_date = rows.pivot_table(
            index="acquisition_date", columns="role", values="corridor_id", aggfunc="count", fill_value=0
        )
        return dg.MaterializeResult(
            metadata=table_metadata(path, table.num_rows, TRAINING_SPLIT)
            | {
                "split by": settings.learning.split_by,
                "unused dates between roles": gap,
                "roles": markdown_table(
                    ["role", f"positives ({window})", "pairs"],
                    [(role, int(row.iloc[0]), int(row.iloc[1])) for role, row in counts.iterrows()],
                ),
                "split": markdown_table(
                    ["date", *by_date.columns],
                    [(day, *row) for day, row in zip(by_date.index, by_date.to_numpy(), strict=True)],
                ),
            }
            | {
                f"pairs that share a window {name} across roles": shared_windows(
                    table, previous, name, recent_days
                )
                for name in LABEL_WINDOWS
            },
            data_version=data_version(sha256(path)),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"pytorch"},
        code_version="1",
        deps=[
            after(training_split),
            after(terrain_patches),
            after(corridor_patches, partitions.learning_dates),
            after(corridor_labels, partitions.learning_dates),
        ],
        op_tags={"avalanche/resource": "train"},
    )
    def vae(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """The paper's variational autoencoder, trained on patches of the training dates without a deposit."""
        import numpy as np

        from avalanche_assets.detectors.learning import train_detector
        from avalanche_assets.detectors.split import dates_of
        from avalanche_assets.detectors.vae import Vae
        from avalanche_assets.patches.correction import load_as_set
        from avalanche_assets.patches.pairs import paired_dates
        from avalanche_assets.reporting.learning_figures import (
            label_counts,
            reconstruction_figure,
            training_curve,
        )
        from avalanche_assets.reporting.style import png

        layout, settings = pipeline.layout, pipeline.settings
        split = read_table(layout.training_split, TRAINING_SPLIT)
        wanted = dates_of(split, "train", "validation")
        days = paired_dates(layout, pipeline.catalogue, wanted)
        loaded = load_as_set(settings, pipeline.catalogue, days)
        summary = train_detector(
            "vae", loaded, split, settings.learning, layout.model("vae"), context.log.info
        )
        last = summary.history[-1]
        shown = loaded.samples.subset(np.argsort(loaded.new != "positive", kind="stable")[:3])
        seen, rebuilt = Vae.load(layout.model("vae")).reconstruct(shown)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(layout.model("vae"))),
                "version": summary.version,
                "training samples": summary.samples,
                "validation samples": summary.validation_samples,
                "dates left out": [str(day) for day in wanted if day not in days],
                "parameters": summary.parameters,
                "best epoch": summary.best_epoch,
                "seconds": summary.seconds,
                "KL (nat)": last.kl,
                "active latent units": last.active_units,
                "reconstruction": picture(
                    png(
                        reconstruction_figure(
                            seen[:, 0],
                            rebuilt[:, 0],
                            [f"{c}\n{d}" for c, d in zip(shown.corridor_ids, shown.dates, strict=True)],
                            "VV*",
                        )
                    )
                ),
                "labels": picture(png(label_counts(*loaded.counts_per_date("new"), "new"))),
                "training": picture(
                    png(
                        training_curve(
                            [epoch.loss for epoch in summary.history],
                            [epoch.validation_loss or float("nan") for epoch in summary.history],
                            summary.best_epoch,
                            "loss per patch",
                        )
                    )
                ),
            },
            data_version=dg.DataVersion(summary.version),
        )

    return [training_split, vae]


def change_threshold_asset() -> dg.AssetsDefinition:
    """`change_threshold`, which learns nothing and needs nothing."""

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"json"}, code_version="1")
    def change_threshold(pipeline: Pipeline) -> dg.MaterializeResult:
        """The dB-threshold baseline: its configuration; its threshold is chosen like any other's."""
        from avalanche_assets.detectors.base import create_detector

        detector = create_detector("change_threshold")
        folder = pipeline.layout.model("change_threshold")
        detector.save(folder)
        return dg.MaterializeResult(
            metadata={"path": dg.MetadataValue.path(str(folder)), "version": detector.version},
            data_version=dg.DataVersion(detector.version),
        )

    return change_threshold


def decision_assets(
    partitions: Partitions,
    training_split: dg.AssetsDefinition,
    anomaly_scores: dg.AssetsDefinition,
    corridor_labels: dg.AssetsDefinition,
    corridor_patches: dg.AssetsDefinition,
    *upstream: dg.AssetsDefinition,
) -> list[dg.AssetsDefinition]:
    """`score_background`, `thresholds` and `evaluation`, from the stored scores of the learning season.

    `upstream` are corridors, terrain_patches and every trained detector.
    """
    corridors, terrain_patches, *models = upstream
    scored = [
        after(training_split),
        after(corridors),
        after(anomaly_scores, partitions.learning_dates),
        after(corridor_labels, partitions.learning_dates),
    ]
    patches = after(corridor_patches, partitions.learning_dates)

    @dg.asset(group_name=GROUP, owners=OWNERS, kinds={"parquet"}, code_version="1", deps=[*scored, patches])
    def score_background(pipeline: Pipeline) -> dg.MaterializeResult:
        """Where scores and patches lie on the training dates: normalisation and drift refer to it."""
        from avalanche_assets.detectors.drift import long_run_levels
        from avalanche_assets.detectors.evaluation import store_background

        train, path = store_background(pipeline.layout), pipeline.layout.score_background
        table = read_table(path, SCORE_BACKGROUND)
        return dg.MaterializeResult(
            metadata=table_metadata(path, table.num_rows, SCORE_BACKGROUND)
            | {
                "pairs": len(train),
                "dates": len(set(train.dates)),
                "dates left out": [str(day) for day in train.left_out],
                "levels": markdown_table(
                    ["detector", "version", "median", "spread"],
                    [
                        (name, train.versions[name], f"{level.median:.4g}", f"{level.spread:.4g}")
                        for name, level in long_run_levels(table).items()
                    ],
                ),
            },
            data_version=data_version(sha256(path)),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="2",
        deps=[*scored, after(score_background)],
    )
    def thresholds(pipeline: Pipeline) -> dg.MaterializeResult:
        """The threshold of every detector, label window and operating point, from validation dates only."""
        from avalanche_assets.detectors.evaluation import store_thresholds
        from avalanche_assets.reporting.evaluation_text import thresholds_markdown
        from avalanche_assets.reporting.learning_figures import score_histogram
        from avalanche_assets.reporting.style import png

        settings, path = pipeline.settings.detection, pipeline.layout.thresholds
        validation = store_thresholds(pipeline.layout, settings)
        table = read_table(path, THRESHOLDS)
        metadata: dict[str, Any] = table_metadata(path, table.num_rows, THRESHOLDS) | {
            "dates left out": [str(day) for day in validation.left_out],
            "thresholds": dg.MetadataValue.md(thresholds_markdown(table, settings.label_window)),
        }
        rows = [row for row in table.to_pylist() if row["label_window"] == settings.label_window]
        states = validation.states[settings.label_window]
        for detector, scores in validation.scores.items():
            points = {
                row["operating_point"]: row["threshold"]
                for row in rows
                if row["detector"] == detector and row["threshold"] is not None
            }
            metadata[f"{detector}, {settings.operating_point}"] = points.get(settings.operating_point)
            metadata[f"{detector}: scores"] = picture(
                png(
                    score_histogram(
                        scores[states == "negative"], scores[states == "positive"], points, detector
                    )
                )
            )
        metadata["undefined"] = [
            f"{row['detector']}, {row['label_window']}, {row['operating_point']}: {row['reason']}"
            for row in table.to_pylist()
            if row["threshold"] is None
        ]
        return dg.MaterializeResult(metadata=metadata, data_version=data_version(table.to_pylist()))

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="2",
        deps=[
            *scored,
            patches,
            after(terrain_patches),
            after(score_background),
            after(thresholds),
            *(after(model) for model in models),
        ],
    )
    def evaluation(pipeline: Pipeline) -> dg.MaterializeResult:
        """Every detector on the test dates, as in the paper's Table 1: all massifs and Haute-Maurienne."""
        from avalanche_assets.detectors.correction_comparison import compare_scene_correction
        from avalanche_assets.detectors.evaluation import evaluate
        from avalanche_assets.reporting.curves import curve_pictures
        from avalanche_assets.reporting.evaluation_text import evaluation_markdown, gains_text
        from avalanche_assets.reporting.galleries import galleries

        layout, settings = pipeline.layout, pipeline.settings
        found = evaluate(layout)
        write_table(layout.evaluation, found.table, EVALUATION)
        compared = compare_scene_correction(layout, pipeline.catalogue, settings.detection)
        shown = galleries(settings, pipeline.catalogue, found) | curve_pictures(settings, found)
        return dg.MaterializeResult(
            metadata=table_metadata(layout.evaluation, found.table.num_rows, EVALUATION)
            | {
                "data": "simulated" if settings.simulated else "real",
                "dates left out": [str(day) for day in found.test.left_out],
                "table": dg.MetadataValue.md(evaluation_markdown(found.table)),
                "against the rival": dg.MetadataValue.md("\n\n".join(gains_text(found.table))),
                "split": f"by {settings.learning.split_by}, {sha256(layout.training_split)[:16]}",
                "scene correction": settings.backscatter.scene_correction,
                "scene correction compared": dg.MetadataValue.md(evaluation_markdown(compared.table)),
                "scene correction: dates left out": [str(day) for day in compared.left_out],
            }
            | {name: picture(png) for name, png in shown.items()},
            data_version=data_version(sha256(layout.evaluation)),
        )

    return [score_background, thresholds, evaluation]
