"""Cards of registered models for tests."""

from avalanche_assets.detectors.card import DataContract, FrozenThreshold, ModelCard
from avalanche_assets.detectors.drift import Range
from avalanche_assets.detectors.normalisation import Level


def example_threshold(value: float | None, point: str = "budget") -> FrozenThreshold:
    return FrozenThreshold(
        label_window="new",
        operating_point=point,
        threshold=value,
        threshold_low=None,
        threshold_high=None,
        value=None if value is None else 0.05,
        positives=10,
        negatives=200,
        reason="no positives at all" if value is None else None,
    )


def example_card(settings, **changes) -> ModelCard:
    values = {
        "detector": "vae_local",
        "model_version": "0123456789ab",
        "code_version": "0.1.0",
        "simulated": True,
        "seed": 139,
        "split_by": "date",
        "data_versions": {"training_split": "abcd"},
        "data": DataContract.of(settings, ("vv_star", "vv_star_old")),
        "normalisation": Level(1.5, 0.5),
        "thresholds": (example_threshold(3.0),),
        "background": {"score median": Range(1.0, 2.0)},
        "metrics": ({"detector": "vae_local", "f1": 0.2},),
    }
    return ModelCard(**{**values, **changes})
