"""Quality class of a detection, A to C, from three supports that can be read off the table.

A detection has up to three supports:

- *margin*: the score clears the threshold by at least `STRONG_MARGIN` times the spread of that date's
  scores (1.4826 times the median absolute deviation, a robust standard deviation), so that the class means
  the same for detectors with different score units;
- *sight*: at least `CLEAR_VISIBLE` of the patch is neither layover nor shadow and at most `MAX_WET_SNOW` of
  it is wet snow, now and at the previous pass: wet snow hides, and its refreezing brightens a slope as a
  deposit does, the main cause of false alarms at C band;
- *repeat*: the anomaly was detected at the previous acquisition too.

Two or three supports give A, one gives B, none gives C; what a reviewer confirmed or added is A. Three
classes follow the practice of the Norwegian avalanche service, which publishes Sentinel-1 detections with
classes A, B and C; the rule itself is our choice.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

QualityClass = Literal["A", "B", "C"]

STRONG_MARGIN = 3.0
CLEAR_VISIBLE = 0.7
MAX_WET_SNOW = 0.3


def score_spread(scores: NDArray[np.float64]) -> float:
    """Robust standard deviation of one date's scores, NaN ignored; NaN where there is no spread."""
    known = scores[np.isfinite(scores)]
    if known.size == 0:
        return float("nan")
    spread = 1.4826 * float(np.median(np.abs(known - np.median(known))))
    return spread if spread > 0 else float("nan")


def quality_class(
    *, margin: float, visible_fraction: float, wet_snow_fraction: float, times_seen: int
) -> QualityClass:
    """Class of one detection; an unknown (NaN) measure supports nothing.

    Args:
        margin: Score minus threshold in units of the date's score spread.
        visible_fraction: Share of the patch neither layover nor shadow, 0 to 1.
        wet_snow_fraction: Share of wet-snow pixels in the patch, the larger of both passes, 0 to 1.
        times_seen: Consecutive acquisitions with a detection, this one included.
    """
    supports = (
        margin >= STRONG_MARGIN,
        visible_fraction >= CLEAR_VISIBLE and wet_snow_fraction <= MAX_WET_SNOW,
        times_seen >= 2,
    )
    count = sum(supports)
    return "A" if count >= 2 else "B" if count == 1 else "C"
