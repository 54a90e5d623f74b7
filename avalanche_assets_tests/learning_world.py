"""A small season on disk for the evaluation: corridors, patches that drift, labels, split, scores."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
from detection_world import acquisition, build_world, example_settings

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.patches.scene_level import SceneLevels
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDOR_LABELS,
    CORRIDOR_PATCHES,
    CORRIDORS,
    SCENE_LEVELS,
    TRAINING_SPLIT,
    write_geotable,
    write_table,
)

DAYS = [date(2018, 1, 3) + timedelta(days=6 * index) for index in range(9)]
"""The first has no previous acquisition."""
ROLES = dict(
    zip(DAYS[1:], ["train", "train", "gap", "validation", "validation", "gap", "test", "test"], strict=True)
)
LEVELS_DB = dict(zip(DAYS, [0.0, 1.0, -2.0, 1.5, -3.0, 0.5, 2.0, -2.5, 1.0], strict=True))
CATALOGUE = AcquisitionCatalogue(tuple(acquisition(day) for day in DAYS))


class LearningWorld:
    """Twelve corridors over nine dates; positive pairs carry a deposit of 6 dB that is gone at the next date.

    Attributes:
        settings: Their data root holds the tables.
        positive: Corridors (12,) that are positive, by date.
    """

    def __init__(self, root, seed=1):
        chosen = {"detection": DetectionSettings(detector="vae_local")}
        self.settings = example_settings(root).model_copy(update=chosen)
        self.layout = self.settings.layout
        self.world = build_world()
        self.ids = self.world.corridors["corridor_id"].tolist()
        random = np.random.default_rng(seed)
        self.positive = {DAYS[0]: np.zeros(len(self.ids), bool)}
        for before, day in pairwise(DAYS):
            self.positive[day] = (random.random(len(self.ids)) < 0.4) & ~self.positive[before]
        write_geotable(self.layout.corridors, self.world.corridors, CORRIDORS)
        rows = [
            {"acquisition_date": day, "corridor_id": name, "role": role}
            for day, role in ROLES.items()
            for name in self.ids
        ]
        write_table(self.layout.training_split, pa.Table.from_pylist(rows, TRAINING_SPLIT), TRAINING_SPLIT)
        for day in DAYS:
            self._write_patches(day, random)
            self._write_labels(day)
            self.write_scores(day, random.normal(size=len(self.ids)) + 3 * self.positive[day])

    def _write_patches(self, day, random):
        count, level = len(self.ids), LEVELS_DB[day]
        patches = random.normal(level, 1.0, (count, 64, 64))
        patches[self.positive[day], 26:34, 30:34] += 6
        column = pa.FixedShapeTensorArray.from_numpy_ndarray(patches.astype(np.float16))
        shares = pa.array(np.ones(count), pa.float32())
        table = pa.table(
            {
                "corridor_id": self.ids,
                "acquisition_date": pa.array([day] * count, pa.date32()),
                "vv_star": column,
                "vh_star": column,
                "valid_fraction": shares,
                "visible_fraction": shares,
                "wet_snow_fraction": shares,
            }
        )
        write_table(self.layout.corridor_patches(day), table, CORRIDOR_PATCHES)
        nothing = np.empty(0)
        levels = SceneLevels(
            nothing,
            {"vv_star": nothing, "vh_star": nothing},
            {"vv_star": level, "vh_star": level},
            np.empty(0, np.int64),
            patches.size,
        )
        write_table(self.layout.scene_levels(day), levels.to_table(day), SCENE_LEVELS)

    def _write_labels(self, day):
        states = np.where(self.positive[day], "positive", "negative")
        rows = [
            {"corridor_id": name, "acquisition_date": day, "new": state, "recent": state, "event_ids": []}
            for name, state in zip(self.ids, states, strict=True)
        ]
        write_table(
            self.layout.corridor_labels(day), pa.Table.from_pylist(rows, CORRIDOR_LABELS), CORRIDOR_LABELS
        )

    def write_scores(self, day, scores, version="v1"):
        """Scores of one detector, `vae_local`, at one date."""
        rows = [
            {
                "corridor_id": name,
                "acquisition_date": day,
                "detector": "vae_local",
                "detector_version": version,
                "score": float(score),
                "observable": True,
            }
            for name, score in zip(self.ids, scores, strict=True)
        ]
        write_table(
            self.layout.anomaly_scores(day), pa.Table.from_pylist(rows, ANOMALY_SCORES), ANOMALY_SCORES
        )
