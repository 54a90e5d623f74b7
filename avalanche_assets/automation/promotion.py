"""Promoting a model: an operator's job, and the check that guards it."""

from typing import Any

import dagster as dg

from avalanche_assets.assets.registry import LATEST
from avalanche_assets.resources.pipeline import Pipeline

CHECK = "at_least_as_good"


def promotion_check() -> dg.AssetChecksDefinition:
    """Compares the version registered last with the promoted one; blocks its promotion when it is worse."""

    @dg.asset_check(
        asset="model_registry",
        name=CHECK,
        blocking=True,
        description="On the same test pairs, the version registered last is not shown to be worse than the "
        "promoted one: the upper end of the interval of its gain in average precision is 0 or more",
    )
    def at_least_as_good(pipeline: Pipeline) -> dg.AssetCheckResult:
        from avalanche_assets.detectors.promotion import compare
        from avalanche_assets.detectors.registry import latest, promoted

        layout = pipeline.layout
        candidate, current = latest(layout), promoted(layout)
        if current is None or current.version == candidate.version:
            told = "none" if current is None else "the same"
            return dg.AssetCheckResult(passed=True, metadata={"promoted version": told})
        found = compare(pipeline.settings, pipeline.catalogue, candidate, current)
        numbers = {
            "average precision": found.candidate,
            "average precision of the promoted version": found.current,
            "gain": found.gain,
            "gain, lower end": found.low,
            "gain, upper end": found.high,
        }
        return dg.AssetCheckResult(
            passed=found.at_least_as_good,
            metadata={
                "version": candidate.version,
                "promoted version": current.version,
                **{name: "unknown" if value is None else value for name, value in numbers.items()},
                "positive test pairs": found.positives,
                "same split": found.same_split,
            },
        )

    return at_least_as_good


def promote_job() -> Any:
    """Checks the version registered last and promotes it; a run's config may name another version."""
    guarded = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("model_registry"), CHECK))
    return dg.define_asset_job(
        "promote_model",
        guarded | dg.AssetSelection.assets("promoted_model"),
        description="Makes the model registered last the one that detections come from, unless it is worse",
        config={"ops": {"promoted_model": {"config": {"version": LATEST}}}},
    )
