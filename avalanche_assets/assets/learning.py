"""Learning: which dates train, the trained detectors, thresholds, and how good they are on unseen dates."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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

if TYPE_CHECKING:
    from avalanche_assets.detectors.base import TrainingSummary
    from avalanche_assets.detectors.vae import Vae
    from avalanche_assets.patches.patch_set import PatchSet

GROUP = "learning"


def training_split_asset(
    partitions: Partitions,
    acquisition_catalogue: dg.AssetsDefinition,
    corridors: dg.AssetsDefinition,
    corridor_labels: dg.AssetsDefinition,
) -> dg.AssetsDefinition:
    """`training_split`."""

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

    return training_split


DETECTORS = {
    "change_threshold": (
        "numba",
        "The dB-threshold baseline, its size and polarisation tuned on validation.",
    ),
    "random_forest": ("scikitlearn", "A random forest on hand-made features of labelled patches."),
    "gradient_boosting": (
        "scikitlearn",
        "Gradient boosting on the features and labels of the random forest.",
    ),
    "cnn": ("pytorch", "A supervised CNN on as many patches without a deposit as with one."),
    "autoencoder": ("pytorch", "The network of the VAE without a random code."),
    "vae": ("pytorch", "The paper's variational autoencoder, trained on patches without a deposit."),
    "vae_all": ("pytorch", "The paper's VAE, trained on all patches without looking at labels."),
    "vae_star": ("pytorch", "The paper's VAE*, trained on patches without a deposit within a month."),
    "local_contrast": ("numpy", "The brightest spot over its surroundings; nothing is learned."),
    "conditional_vae": ("pytorch", "What VV* and VH* should be, given the old image and the terrain."),
}
"""Kind and description of the asset of every detector."""


def detector_assets(
    partitions: Partitions,
    names: Sequence[str],
    training_split: dg.AssetsDefinition,
    terrain_patches: dg.AssetsDefinition,
    corridor_patches: dg.AssetsDefinition,
    corridor_labels: dg.AssetsDefinition,
) -> list[dg.AssetsDefinition]:
    """One asset per detector."""
    deps = [
        after(training_split),
        after(terrain_patches),
        after(corridor_patches, partitions.learning_dates),
        after(corridor_labels, partitions.learning_dates),
    ]
    untrained = {asset.key.to_user_string(): asset for asset in untrained_detector_assets()}
    del untrained["change_threshold"]  # with labels it is tuned
    return [untrained.get(name) or _trained_detector_asset(name, deps) for name in names]


def _trained_detector_asset(name: str, deps: Sequence[dg.AssetDep]) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        description=DETECTORS[name][1],
        group_name=GROUP,
        owners=OWNERS,
        kinds={DETECTORS[name][0]},
        code_version="2",
        deps=deps,
        op_tags={"avalanche/resource": "train"},
    )
    def detector(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        from avalanche_assets.detectors.learning import train_detector
        from avalanche_assets.detectors.split import dates_of
        from avalanche_assets.patches.pairs import paired_dates
        from avalanche_assets.patches.patch_set import PatchSet

        layout, settings = pipeline.layout, pipeline.settings
        split = read_table(layout.training_split, TRAINING_SPLIT)
        wanted = dates_of(split, "train", "validation")
        days = paired_dates(layout, pipeline.catalogue, wanted)
        samples = PatchSet.open(
            layout,
            pipeline.catalogue,
            days,
            detection=settings.detection,
            corrected=settings.backscatter.scene_correction != "none",
        )
        summary = train_detector(
            name, samples, split, settings.learning, layout.model(name), context.log.info
        )
        return dg.MaterializeResult(
            metadata=_history(summary)
            | _pictures(layout.model(name), name, samples)
            | {
                "path": dg.MetadataValue.path(str(layout.model(name))),
                "version": summary.version,
                "training samples": summary.samples,
                "validation samples": summary.validation_samples,
                "dates left out": [str(day) for day in wanted if day not in days],
                "parameters": summary.parameters,
                "seconds": summary.seconds,
            },
            data_version=dg.DataVersion(summary.version),
        )

    return detector


def _history(summary: "TrainingSummary") -> dict[str, Any]:
    """How a training in epochs went."""
    from avalanche_assets.reporting.learning_figures import training_curve
    from avalanche_assets.reporting.style import png

    if not summary.history:
        return {}
    best = summary.history[summary.best_epoch - 1]
    figure = training_curve(
        [epoch.loss for epoch in summary.history],
        [
            float("nan") if epoch.validation_loss is None else epoch.validation_loss
            for epoch in summary.history
        ],
        summary.best_epoch,
        "loss per patch",
    )
    return {
        "best epoch": summary.best_epoch,
        **best.parts,
        "active latent units": best.active_units,
        "validation average precision": best.validation_ap or "no labels of both kinds",
        "training": picture(png(figure)),
    }


def _pictures(folder: Path, name: str, samples: "PatchSet") -> dict[str, Any]:
    """Labels of the samples; what an autoencoder makes of three of them, positives first."""
    import numpy as np

    from avalanche_assets.detectors.base import RECIPES, load_detector
    from avalanche_assets.patches.pairs import counts_per_date
    from avalanche_assets.reporting.learning_figures import label_counts, reconstruction_figure
    from avalanche_assets.reporting.style import png

    window = RECIPES[name].window
    labels = samples.labels(window)
    pictures = {"labels": picture(png(label_counts(*counts_per_date(samples.dates, labels), window)))}
    if RECIPES[name].module == "vae":
        chosen = np.zeros(len(samples), bool)
        chosen[np.argsort(labels != "positive", kind="stable")[:3]] = True
        shown = samples.subset(chosen)
        detector = cast("Vae", load_detector(name, folder))
        (batch,) = shown.stream(detector.channels, len(shown))
        seen, rebuilt = detector.rebuild(batch)
        captions = [f"{c}\n{d}" for c, d in zip(shown.corridor_ids, shown.dates, strict=True)]
        figure = reconstruction_figure(seen[:, 0], rebuilt[:, 0], captions, "VV*")
        pictures["reconstruction"] = picture(png(figure))
    return pictures


def untrained_detector_assets() -> list[dg.AssetsDefinition]:
    """`change_threshold` and `local_contrast` as they are without training."""
    return [_untrained_detector_asset(name) for name in ("change_threshold", "local_contrast")]


def _untrained_detector_asset(name: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        description=DETECTORS[name][1],
        group_name=GROUP,
        owners=OWNERS,
        kinds={DETECTORS[name][0]},
        code_version="1",
    )
    def detector(pipeline: Pipeline) -> dg.MaterializeResult:
        from avalanche_assets.detectors.base import create_detector

        made, folder = create_detector(name), pipeline.layout.model(name)
        made.save(folder)
        return dg.MaterializeResult(
            metadata={"path": dg.MetadataValue.path(str(folder)), "version": made.version},
            data_version=dg.DataVersion(made.version),
        )

    return detector


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
