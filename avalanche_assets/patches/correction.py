"""Taking the level of a whole scene out of patches, elevation band by elevation band."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.loading import LoadedSamples, load_samples
from avalanche_assets.patches.scene_level import SceneLevels
from avalanche_assets.settings import Settings
from avalanche_assets.tables import PATCH_SIZE, SCENE_LEVELS, read_table

AT_ONCE = 512
"""Patches corrected together."""


def stored_levels(layout: DataLayout, day: date | str) -> SceneLevels:
    """The levels of one date.

    Raises:
        TableError: They are missing or damaged; materialise corridor_patches.
    """
    return SceneLevels.from_table(read_table(layout.scene_levels(day), SCENE_LEVELS))


def without_level(
    patches: NDArray[np.float16], levels: SceneLevels, name: str, elevation: NDArray[np.float32]
) -> NDArray[np.float16]:
    """Patches (n, 64, 64) of one date and channel less the level at each pixel's height."""
    return np.asarray(patches.astype(np.float32) - levels.at(name, elevation), np.float16)


def without_scene_level(
    loaded: LoadedSamples, layout: DataLayout, catalogue: AcquisitionCatalogue
) -> LoadedSamples:
    """Loaded samples less the level of their dates; other channels stay.

    Raises:
        TableError: The levels of a date are missing or damaged.
    """
    samples = loaded.samples
    before = {day: catalogue.previous(str(day)) for day in set(samples.dates)}
    rows = pd.DataFrame(
        {
            "patch": np.concatenate([samples.current, samples.previous]),
            "day": [*samples.dates, *(getattr(before[day], "date", None) for day in samples.dates)],
            "corridor": np.concatenate([samples.corridor, samples.corridor]),
        }
    ).drop_duplicates("patch")
    corrected = {name: patches.copy() for name, patches in samples.backscatter.items()}
    for day, members in rows.groupby("day"):
        levels = stored_levels(layout, day)
        for first in range(0, len(members), AT_ONCE):
            part = members.iloc[first : first + AT_ONCE]
            patch = part["patch"].to_numpy(np.int64)
            elevation = elevation_of(samples.terrain, part["corridor"].to_numpy(np.int64))
            for name, patches in corrected.items():
                patches[patch] = without_level(patches[patch], levels, name, elevation)
    return replace(loaded, samples=replace(samples, backscatter=corrected))


def elevation_of(
    terrain: Mapping[str, NDArray[np.floating]], corridors: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Heights (n, 64, 64) of rows of terrain, NaN without terrain."""
    if "elevation" in terrain:
        return terrain["elevation"][corridors].astype(np.float32)
    return np.full((len(corridors), PATCH_SIZE, PATCH_SIZE), np.nan, np.float32)


def load_as_set(
    settings: Settings,
    catalogue: AcquisitionCatalogue,
    dates: Sequence[date | str],
    corridors: Collection[str] | None = None,
) -> LoadedSamples:
    """Samples as the settings want detectors to see them, see `load_samples`.

    Raises:
        TableError: A table is missing or damaged.
    """
    loaded = load_samples(settings.layout, catalogue, dates, corridors, settings.detection)
    if settings.backscatter.scene_correction == "none":
        return loaded
    return without_scene_level(loaded, settings.layout, catalogue)
