"""Training and scoring again beside the stored results: other seeds, or other settings of the learning.

The results lie in a folder laid out like the data root, with models, scores, levels and thresholds; split,
patches and labels stay those of the deployment. So every training sees the same pairs and is judged alike.
"""

from collections.abc import Callable, Iterable, Sequence

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detection.scoring import score_table
from avalanche_assets.detectors.base import RECIPES, model_name
from avalanche_assets.detectors.description import content_hash
from avalanche_assets.detectors.evaluation import store_background, store_thresholds
from avalanche_assets.detectors.learning import train_detector
from avalanche_assets.detectors.split import ROLES, dates_of
from avalanche_assets.files import sha256, write_text
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.correction import load_as_set
from avalanche_assets.patches.pairs import paired_dates
from avalanche_assets.patches.patch_set import PatchSet
from avalanche_assets.rasters import read_grid
from avalanche_assets.settings import Settings
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDORS,
    TRAINING_SPLIT,
    read_geotable,
    read_table,
    write_table,
)

Progress = Callable[[str], None]


def seeded(names: Iterable[str]) -> list[str]:
    """Those of the detectors that a training with another seed changes."""
    return [name for name in names if RECIPES[model_name(name)].seeded]


def train_again(
    settings: Settings,
    catalogue: AcquisitionCatalogue,
    names: Sequence[str],
    results: DataLayout,
    progress: Progress,
) -> None:
    """Trains detectors with these settings and judges them like the stored ones; done once, it is kept.

    Args:
        settings: The deployment's, with another seed or other settings of `learning`.
        catalogue: Of the deployment.
        names: Detectors; models that several of them use are trained once.
        results: Where models, scores, levels and thresholds go.
        progress: Takes lines of text.

    Raises:
        TableError: A table is missing or damaged.
        DetectorError: A detector cannot be trained or scored on the data.
    """
    layout = settings.layout
    done = results.root / "done.txt"
    key = content_hash(
        {
            "learning": settings.learning.model_dump(mode="json"),
            "detection": settings.detection.model_dump(mode="json"),
            "backscatter": settings.backscatter.model_dump(mode="json"),
            "split": sha256(layout.training_split),
            "names": list(names),
        }
    )
    if done.exists() and done.read_text(encoding="utf-8") == key:
        return
    split = read_table(layout.training_split, TRAINING_SPLIT)
    days = paired_dates(layout, catalogue, dates_of(split, "train", "validation"))
    samples = PatchSet.open(
        layout,
        catalogue,
        days,
        detection=settings.detection,
        corrected=settings.backscatter.scene_correction != "none",
    )
    models = dict.fromkeys(model_name(name) for name in names)
    for model in models:
        train_detector(model, samples, split, settings.learning, results.model(model), progress)
    _score(settings, catalogue, models, results)
    store_background(layout, results)
    store_thresholds(layout, settings.detection, results)
    write_text(done, key)


def _score(
    settings: Settings, catalogue: AcquisitionCatalogue, models: Iterable[str], results: DataLayout
) -> None:
    layout = settings.layout
    split = read_table(layout.training_split, TRAINING_SPLIT)
    corridors, grid = read_geotable(layout.corridors, CORRIDORS), read_grid(layout.dem)
    folders = {model: results.model(model) for model in models}
    for day in paired_dates(layout, catalogue, dates_of(split, *ROLES)):
        table = score_table(
            load_as_set(settings, catalogue, [day]),
            corridors,
            grid,
            folders,
            catalogue.get(day),
            catalogue.previous(day),
        )
        write_table(results.anomaly_scores(day), table, ANOMALY_SCORES)
