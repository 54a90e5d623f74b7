"""Sizes of a simulated season, from one for tests to one as large as the real study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from avalanche_assets.grid import TILE_PX
from avalanche_assets.simulation.avalanches import BRIGHTENING_DB
from avalanche_assets.simulation.calendar import (
    PredictedPass,
    reference_passes,
    winter_passes,
)

SizeName = Literal["tiny", "demo", "season", "hard", "full"]


@dataclass(frozen=True)
class Size:
    """How much is simulated.

    Attributes:
        name: As on the command line.
        tiles: Side of the elevation model in tiles of 64 cells of 20 m (1.28 km).
        corridors: Number of corridors.
        avalanches_per_corridor: Mean number of avalanches of a corridor in the simulated span.
        first_winter_day: Winter acquisitions start here.
        last_winter_day: Winter acquisitions end here.
        references: Number of snow-free reference acquisitions.
        full_swath: Images as large as real slices, without data beyond the elevation model.
        learning: Settings of the training that suit the size.
        brightening_db: Mean brightening of a fresh deposit in VV.
        warmer_m: How much higher than usual the freezing level is, and with it the wet snow.
    """

    name: SizeName
    tiles: int
    corridors: int
    avalanches_per_corridor: float
    first_winter_day: date
    last_winter_day: date
    references: int
    full_swath: bool
    learning: dict[str, Any]
    brightening_db: float = BRIGHTENING_DB
    warmer_m: float = 0.0

    @property
    def side_m(self) -> float:
        """Side of the elevation model in metres."""
        return self.tiles * TILE_PX * 20.0

    def winter(self) -> Sequence[PredictedPass]:
        """Winter acquisitions; at least one 12-day gap and both noise formats in every size."""
        passes = winter_passes()
        return [item for item in passes if self.first_winter_day <= item.date <= self.last_winter_day]

    def reference(self) -> Sequence[PredictedPass]:
        """Reference acquisitions, the first ones of the calendar."""
        return reference_passes()[: self.references]


_QUICK = {"learning_rate": 1e-3, "angle": "local_incidence"}
"""With the defaults a network this small has not learned VV* yet when the few epochs are over."""

_FEW = ["change_threshold", "gradient_boosting", "vae", "local_contrast", "dual_contrast"]
"""Enough to look at; the others take minutes on two cores (remove the setting to train them all)."""

_WHOLE_WINTER = (date(2017, 12, 20), date(2018, 4, 22))

SIZES: dict[str, Size] = {
    "tiny": Size(
        name="tiny",
        tiles=7,
        corridors=14,
        avalanches_per_corridor=3.0,
        first_winter_day=date(2018, 2, 2),
        last_winter_day=date(2018, 3, 28),
        references=2,
        full_swath=False,
        learning={
            "test_dates": 2,
            "validation_dates": 1,
            "gap_dates": 0,
            "base_channels": 16,
            "epochs": 4,
            "detectors": _FEW,
            **_QUICK,
        },
    ),
    "demo": Size(
        name="demo",
        tiles=18,
        corridors=130,
        avalanches_per_corridor=2.0,
        first_winter_day=_WHOLE_WINTER[0],
        last_winter_day=_WHOLE_WINTER[1],
        references=4,
        full_swath=False,
        learning={**_QUICK, "base_channels": 16, "epochs": 12, "detectors": _FEW},
    ),
    "season": Size(
        name="season",
        tiles=32,
        corridors=400,
        avalanches_per_corridor=1.5,
        first_winter_day=_WHOLE_WINTER[0],
        last_winter_day=_WHOLE_WINTER[1],
        references=4,
        full_swath=False,
        learning={**_QUICK, "base_channels": 32, "epochs": 12},
    ),
    "full": Size(
        name="full",
        tiles=86,
        corridors=3000,
        avalanches_per_corridor=1.0,
        first_winter_day=_WHOLE_WINTER[0],
        last_winter_day=_WHOLE_WINTER[1],
        references=4,
        full_swath=True,
        learning={},
    ),
}
SIZES["hard"] = replace(SIZES["season"], name="hard", brightening_db=3.5, warmer_m=400.0)
"""Learning: the paper's network is 64 channels wide; narrower ones train in a minute on two cores.

A `hard` season has fainter deposits and wetter snow."""
