"""The model registry: what was trained becomes a version with a card, and one version is promoted."""

import dagster as dg

from avalanche_assets.assets.common import OWNERS, after, data_version, markdown_table
from avalanche_assets.files import sha256
from avalanche_assets.resources.pipeline import Pipeline

GROUP = "learning"
LATEST = "latest"


class Promotion(dg.Config):
    """Which version to promote: its name in the registry, or ``latest``.

    Empty promotes the latest one where none is promoted yet, and otherwise changes nothing.
    """

    version: str = ""


def registry_assets(
    evaluation: dg.AssetsDefinition, *upstream: dg.AssetsDefinition
) -> list[dg.AssetsDefinition]:
    """`model_registry` and `promoted_model`; `upstream` is what a card tells: thresholds, detectors, ..."""

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"json"},
        code_version="1",
        deps=[after(evaluation), *(after(asset) for asset in upstream)],
    )
    def model_registry(pipeline: Pipeline) -> dg.MaterializeResult:
        """The trained detector of the settings as a version: its files and its card, never changed again."""
        from avalanche_assets.detectors.registry import make_card, promoted, register

        layout = pipeline.layout
        model, current = register(layout, make_card(pipeline.settings)), promoted(layout)
        card = model.card
        level = card.normalisation
        return dg.MaterializeResult(
            metadata={
                "version": model.version,
                "promoted version": current.version if current else "none",
                "path": dg.MetadataValue.path(str(model.folder)),
                "model version": card.model_version,
                "channels": ", ".join(card.data.channels),
                "normalisation": f"median {level.median:.4g}, spread {level.spread:.4g}",
                "thresholds": markdown_table(
                    ["label window", "operating point", "threshold", "positives"],
                    [
                        (item.label_window, item.operating_point, item.threshold, item.positives)
                        for item in card.thresholds
                    ],
                ),
                "intended use": card.intended_use,
                "limits": dg.MetadataValue.md("\n".join(f"- {limit}" for limit in card.limits)),
            },
            data_version=data_version(model.version),
        )

    @dg.asset(
        group_name=GROUP,
        owners=OWNERS,
        kinds={"json"},
        code_version="1",
        deps=[after(model_registry)],
    )
    def promoted_model(config: Promotion, pipeline: Pipeline) -> dg.MaterializeResult:
        """The version that detections come from; the job `promote_model` changes it, nothing else does."""
        from avalanche_assets.detectors.registry import latest, promote, promoted

        layout, current = pipeline.layout, promoted(pipeline.layout)
        if config.version not in ("", LATEST):
            model = promote(layout, config.version)
        elif current is None or config.version == LATEST:
            model = promote(layout, latest(layout).version)
        else:
            model = current
        return dg.MaterializeResult(
            metadata={
                "version": model.version,
                "promoted before": current.version if current else "none",
                "detector": model.card.detector,
                "path": dg.MetadataValue.path(str(model.folder)),
            },
            data_version=data_version(sha256(layout.promoted_model)),
        )

    return [model_registry, promoted_model]
