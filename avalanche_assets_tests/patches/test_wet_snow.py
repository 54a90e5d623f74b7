"""The compiled count of wet-snow pixels against a plain one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.patches.wet_snow import REACH_PX, wet_pixels


def by_hand(patch: np.ndarray, limit: float) -> int:
    count = 0
    for row, col in np.ndindex(patch.shape):
        rows = slice(max(row - REACH_PX, 0), row + REACH_PX + 1)
        around = patch[rows, max(col - REACH_PX, 0) : col + REACH_PX + 1].astype(np.float64)
        count += bool(np.isfinite(patch[row, col]) and np.nansum(around) < limit * np.isfinite(around).sum())
    return count


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0, 1.0), st.floats(-4.0, 1.0))
def test_every_pixel_is_judged_by_the_mean_of_what_is_known_around_it(seed, unknown, limit):
    random = np.random.default_rng(seed)
    patches = random.normal(-2.0, 2.0, (3, 12, 9)).astype(np.float32)
    patches[random.random(patches.shape) < unknown] = np.nan
    assert wet_pixels(patches, limit).tolist() == [by_hand(patch, limit) for patch in patches]


def test_mean_at_the_limit_is_not_wet_and_no_value_is_nothing():
    assert wet_pixels(np.full((1, 64, 64), -3.0, np.float32), -3.0).tolist() == [0]
    assert wet_pixels(np.full((2, 64, 64), np.nan, np.float32), -3.0).tolist() == [0, 0]
    assert wet_pixels(np.full((1, 64, 64), -3.5, np.float32), -3.0).tolist() == [64 * 64]
