"""Comparing detectors, and settings, on the test pairs of a deployment: what two commands do."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue, read_catalogue
from avalanche_assets.detection.retraining import seeded, train_again
from avalanche_assets.detectors.against_truth import (
    AgainstTruth,
    against_truth,
    read_deposits,
    truth_of_pairs,
)
from avalanche_assets.detectors.base import model_name
from avalanche_assets.detectors.evaluation import Evaluation, evaluate, normalised_pairs
from avalanche_assets.errors import DetectorError, SettingsError
from avalanche_assets.files import write_text
from avalanche_assets.layout import DataLayout
from avalanche_assets.reporting.curves import curve_pictures
from avalanche_assets.reporting.evaluation_page import write_evaluation_page
from avalanche_assets.reporting.evaluation_text import evaluation_markdown, evaluation_text, gains_text
from avalanche_assets.reporting.galleries import galleries
from avalanche_assets.settings import Settings, load_settings

Progress = Callable[[str], None]

SPLIT_FIELDS = (
    "season", "test_dates", "validation_dates", "gap_dates", "split_by", "test_massifs", "validation_massifs",
)  # fmt: skip
"""Fields of `learning` that change which pairs there are."""


def compare_detectors(
    settings_file: Path, page: Path | None, truth: Path | None, trainings: int, progress: Progress
) -> Iterator[str]:
    """Evaluates a deployment and writes the page about it.

    Args:
        settings_file: Of a deployment that has been trained and scored.
        page: Markdown page to write; in the data root by default.
        truth: Mapped deposits, see `against_truth.read_deposits`.
        trainings: Of the detectors in the settings, with different seeds, the stored one included.
        progress: Takes lines while it trains.

    Raises:
        SettingsError: The settings file cannot be used.
        TableError: A table is missing or damaged.
        DetectorError: There are no scores, or a training failed.
    """
    settings = load_settings(settings_file)
    layout, catalogue = settings.layout, _catalogue(settings)
    found = evaluate(layout, [layout, *_trainings(settings, catalogue, trainings, progress)])
    pictures = curve_pictures(settings, found) | galleries(settings, catalogue, found)
    target = page or layout.evaluation.with_suffix(".md")
    deposits = None if truth is None else _against(truth, settings, catalogue, found)
    write_evaluation_page(target, settings, found, pictures, deposits)
    points = tuple(dict.fromkeys(("balanced", settings.detection.operating_point)))
    yield f"Evaluation on the test dates ({'SIMULATED' if settings.simulated else 'real'} data)"
    yield evaluation_text(found.table, points)
    yield from gains_text(found.table)
    yield f"Page: {target}"


def _catalogue(settings: Settings) -> AcquisitionCatalogue:
    return read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)


def _trainings(
    settings: Settings, catalogue: AcquisitionCatalogue, count: int, progress: Progress
) -> list[DataLayout]:
    scored = normalised_pairs(settings.layout, "test").scores
    names = seeded(name for name in scored if model_name(name) in settings.learning.detectors)
    results = []
    for number in range(1, count):
        seed = settings.learning.seed + number
        progress(f"training {number + 1} of {count}, seed {seed}")
        results.append(settings.layout.variation(f"learning.seed={seed}"))
        train_again(with_field(settings, "learning.seed", seed), catalogue, names, results[-1], progress)
    return results


def _against(
    path: Path, settings: Settings, catalogue: AcquisitionCatalogue, found: Evaluation
) -> AgainstTruth:
    layout, choice = settings.layout, settings.detection
    truth = truth_of_pairs(read_deposits(path), layout, catalogue, found.test)
    validation = normalised_pairs(layout, "validation")
    return against_truth(truth, found, validation, choice.label_window, choice.operating_point)


def compare_settings(
    settings_file: Path, field: str, values: Sequence[str], detectors: Sequence[str], progress: Progress
) -> Iterator[str]:
    """Trains and tests again with every value of a setting.

    What decides only the learning is trained on the stored patches and split. Anything else changes patches,
    labels or split: the whole graph then runs in a data root of its own below the deployment's.

    Args:
        settings_file: Of a deployment that has been trained and scored.
        field: Section and name, e.g. ``learning.latent_size``.
        values: Values as in TOML; quotes may be left out.
        detectors: Names of detectors to compare; the deployment's by default.
        progress: Takes lines while it works.

    Raises:
        SettingsError: The field is unknown or a value is not allowed.
        TableError: A table is missing or damaged.
        DetectorError: A training failed, or a run of the graph did.
    """
    settings = load_settings(settings_file)
    names = list(detectors) or [settings.detection.detector]
    variants = {value: with_field(settings, field, parsed(value)) for value in values}
    for value, variant in variants.items():
        progress(f"{field} = {value}")
        results = settings.layout.variation(f"{field}={value}")
        if learning_alone(field):
            train_again(variant, _catalogue(settings), names, results, progress)
            found = evaluate(settings.layout, [results])
        else:
            found = evaluate(_run_apart(variant, results.root, progress))
        table = found.table.filter([row in names for row in found.table["detector"].to_pylist()])
        yield f"{field} = {value}"
        yield evaluation_markdown(table, (settings.detection.operating_point,)).split("\n| paper")[0]


def learning_alone(field: str) -> bool:
    """Whether a setting leaves patches, labels and split as they are."""
    section, _, name = field.partition(".")
    return (section == "learning" and name not in SPLIT_FIELDS) or field == "backscatter.scene_correction"


def parsed(value: str) -> Any:
    """A value as TOML reads it; what is no TOML is text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def with_field(settings: Settings, field: str, value: Any) -> Settings:
    """The settings with one field changed, checked like a settings file.

    Raises:
        SettingsError: The field is unknown or the value is not allowed.
    """
    content = settings.model_dump(mode="json", exclude_none=True)
    *sections, name = field.split(".")
    target = content
    for section in sections:
        target = target.setdefault(section, {})
    target[name] = value
    try:
        return Settings.model_validate(content)
    except ValueError as error:
        raise SettingsError(f"{field} = {value!r}: {error}") from error


def _run_apart(settings: Settings, folder: Path, progress: Progress) -> DataLayout:
    """Runs the whole graph with these settings in a data root of its own."""
    import dagster as dg

    from avalanche_assets.automation.runner import materialise_missing

    apart = settings.model_copy(update={"data_root": folder / "data"})
    file = folder / "avalanche.toml"
    write_text(file, tomli_w.dumps(apart.model_dump(mode="json", exclude_none=True)))
    report = materialise_missing(file, dg.DagsterInstance.ephemeral(), progress)
    if not apart.layout.thresholds.exists():
        raise DetectorError(f"{file}: the run ended before its thresholds: {report.failures}")
    return apart.layout
