"""Is a new model at least as good as the promoted one? Both on the same test pairs, scored alike."""

from dataclasses import dataclass

import numpy as np

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detectors.base import load_detector
from avalanche_assets.detectors.bootstrap import interval
from avalanche_assets.detectors.learning import role_mask
from avalanche_assets.detectors.metrics import LabelledScores, known, over_trainings
from avalanche_assets.detectors.normalisation import normalised_per_date
from avalanche_assets.detectors.registry import RegisteredModel
from avalanche_assets.detectors.scored import DATE_STEP, labelled
from avalanche_assets.detectors.split import dates_of
from avalanche_assets.patches.correction import load_as_set
from avalanche_assets.patches.loading import LoadedSamples
from avalanche_assets.patches.pairs import paired_dates
from avalanche_assets.settings import Settings
from avalanche_assets.tables import CORRIDORS, TRAINING_SPLIT, read_geotable, read_table


@dataclass(frozen=True)
class Comparison:
    """Average precision of two versions on the same test pairs.

    Attributes:
        candidate: Average precision of the new version; None without positives.
        current: That of the promoted one.
        gain: The first less the second.
        low: Lower end of the gain's interval; None without one.
        high: Upper end.
        positives: Positive test pairs.
        same_split: Whether both were trained with the same split; if not, the promoted one may have been
            trained on pairs of this test set, which favours it.
    """

    candidate: float | None
    current: float | None
    gain: float | None
    low: float | None
    high: float | None
    positives: int
    same_split: bool

    @property
    def at_least_as_good(self) -> bool:
        """Whether the test pairs do not show the new version to be worse."""
        return self.high is not None and self.high >= 0


def compare(
    settings: Settings, catalogue: AcquisitionCatalogue, candidate: RegisteredModel, current: RegisteredModel
) -> Comparison:
    """Scores the test pairs with both versions.

    Raises:
        TableError: A table is missing or damaged.
        DetectorError: A version does not fit these data or cannot be loaded.
    """
    layout = settings.layout
    split = read_table(layout.training_split, TRAINING_SPLIT)
    days = paired_dates(layout, catalogue, dates_of(split, "test"))
    loaded = load_as_set(settings, catalogue, days)
    loaded = loaded.subset(role_mask(loaded, split, "test"))
    corridors = read_geotable(layout.corridors, CORRIDORS).set_index("corridor_id")
    massifs = corridors["massif_id"].reindex(loaded.samples.corridor_ids).to_numpy(np.int64)
    clusters = np.array([day.toordinal() for day in loaded.samples.dates], np.int64) * DATE_STEP + massifs
    names, codes = np.unique(clusters, return_inverse=True)
    values = []
    for model in (candidate, current):
        tested = _tested(settings, model, loaded, codes)
        exact, replicates = over_trainings([tested], max(1, len(names)))
        values.append((known(exact["average_precision"][0]), replicates["average_precision"]))
    (mine, my_replicates), (its, its_replicates) = values
    low, high = interval(my_replicates - its_replicates)
    return Comparison(
        mine,
        its,
        None if mine is None or its is None else mine - its,
        low,
        high,
        int((loaded.labels(settings.detection.label_window) == "positive").sum()),
        candidate.card.data_versions["training_split"] == current.card.data_versions["training_split"],
    )


def _tested(
    settings: Settings, model: RegisteredModel, loaded: LoadedSamples, codes: np.ndarray
) -> LabelledScores:
    model.card.require_fit(settings)
    raw = load_detector(model.card.detector, model.folder).score(loaded.samples)
    _name, level = model.card.detector, model.card.normalisation
    normalised = normalised_per_date(raw, loaded.samples.dates, level)
    states = loaded.labels(settings.detection.label_window).astype(str)
    scores, positive, rows = labelled(normalised, states)
    return LabelledScores(scores, positive, codes[rows], None)
