"""The score without a network: what it answers to and what it does not."""

import numpy as np
import pytest

from avalanche_assets.detectors.local_contrast import LocalContrast, contrast


def score(samples_of, *patches):
    """Scores of patches after a calm one."""
    calm = np.zeros((64, 64))
    stack = np.stack([calm, *patches])
    return LocalContrast().score(samples_of(stack, previous=[0] * len(patches)))


def tongue(level, row=32, col=32):
    patch = np.zeros((64, 64))
    patch[row - 6 : row + 2, col - 2 : col + 2] = level
    return patch


def test_a_new_bright_spot_raises_the_score_with_its_level(samples_of):
    calm, weak, strong, dark = score(samples_of, tongue(0), tongue(3), tongue(6), tongue(-6))
    assert calm == pytest.approx(0, abs=1e-6)
    assert strong == pytest.approx(2 * weak, rel=1e-3)  # linear in dB
    assert weak > 1
    assert dark < 0.2 * strong  # only the rim of a dark spot lies above its surroundings


def test_what_moves_the_whole_patch_does_not_count(samples_of):
    lifted, plain = score(samples_of, tongue(5) + 4, tongue(5))
    # Both blurs lift alike; float32 sums.
    assert lifted == pytest.approx(plain, abs=1e-3)


def test_a_spot_far_from_the_deposit_point_counts_less(samples_of):
    centre, corner = score(samples_of, tongue(5), tongue(5, 8, 6))
    assert corner < 0.3 * centre


def test_texture_that_was_there_before_does_not_count(samples_of):
    old = samples_of(np.stack([tongue(5), tongue(5)]), previous=[0])
    recovered = samples_of(np.stack([tongue(-5), np.zeros((64, 64))]), previous=[0])
    assert LocalContrast().score(old) == pytest.approx(0, abs=1e-3)
    # It brightened, but does not rise above its surroundings now.
    assert LocalContrast().score(recovered) == pytest.approx(0, abs=1e-3)


def test_missing_pixels_do_not_make_a_contrast():
    patch = np.full((1, 64, 64), 3.0, np.float32)
    patch[0, 20:40, 20:40] = np.nan
    found = contrast(patch)
    assert np.isnan(found[0, 30, 30])
    np.testing.assert_allclose(found[np.isfinite(found)], 0, atol=1e-5)
