"""The baseline: the highest level that a connected patch of the deposit zone reaches."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

from avalanche_assets.detectors.change_threshold import (
    ZONE_RADIUS_PX,
    ChangeThreshold,
    highest_connected_level,
)
from avalanche_assets.detectors.locality import centre_disc, smooth

EVERYWHERE = np.ones((64, 64), bool)


def with_pixels(pixels, level):
    image = np.zeros((1, 64, 64), np.float32)
    for row, col in pixels:
        image[0, row, col] = level
    return image


def by_scanning(image, zone, pixels):
    """Independent reference: label the pixels at or above each occurring value."""
    for level in np.unique(image[zone & np.isfinite(image)])[::-1]:
        labels, count = label(zone & (image >= level), np.ones((3, 3)))
        if count and np.bincount(labels.ravel())[1:].max() >= pixels:
            return level
    return np.nan


def test_level_is_reached_by_exactly_k_connected_pixels():
    five = [(30, 30), (31, 31), (32, 32), (33, 31), (34, 30)]  # joined by corners only
    assert highest_connected_level(with_pixels(five, 4.0), EVERYWHERE, 5)[0] == 4.0
    assert highest_connected_level(with_pixels(five[:4], 4.0), EVERYWHERE, 5)[0] == 0.0


def test_two_separate_groups_do_not_add_up():
    groups = [(30, 30), (30, 31), (30, 32), (40, 30), (40, 31)]
    assert highest_connected_level(with_pixels(groups, 4.0), EVERYWHERE, 5)[0] == 0.0


def test_pixels_outside_the_zone_do_not_count():
    corner = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)]
    assert highest_connected_level(with_pixels(corner, 4.0), centre_disc(16), 5)[0] == 0.0


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (9, 11), elements=st.sampled_from([np.nan, -1.0, 0.0, 1.5, 2.0, 3.25])),
    arrays(bool, (9, 11)),
    st.integers(1, 7),
)
def test_level_equals_scanning_with_labelled_components(image, zone, pixels):
    found = highest_connected_level(image[None], zone, pixels)[0]
    np.testing.assert_equal(found, by_scanning(image, zone, pixels))


def test_score_of_a_uniform_brightening_is_its_level(samples_of):
    patches = np.stack([np.full((64, 64), -1.0), np.full((64, 64), 2.0)])
    assert ChangeThreshold().score(samples_of(patches, previous=[0])) == pytest.approx(3.0, abs=1e-5)


def test_deposit_in_the_zone_scores_above_the_same_one_outside(samples_of):
    patches = np.zeros((3, 64, 64))
    patches[1, 24:32, 30:34] = 5
    patches[2, 2:10, 2:6] = 5
    inside, outside = ChangeThreshold().score(samples_of(patches, previous=[0, 0]))
    assert inside > 3 > 0.5 > outside


def test_score_needs_five_connected_values_in_the_zone(samples_of):
    patches = np.zeros((2, 64, 64))
    patches[1][centre_disc(ZONE_RADIUS_PX)] = np.nan
    patches[1, 32, 32:36] = 9
    assert np.isnan(ChangeThreshold().score(samples_of(patches, previous=[0]))).all()
    patches[1, 32, 36] = 9
    assert ChangeThreshold().score(samples_of(patches, previous=[0])) == pytest.approx(9, abs=1e-5)


def test_single_bright_pixel_scores_like_its_surroundings_and_not_like_its_peak(samples_of):
    patches = np.zeros((2, 64, 64))
    patches[1, 32, 32] = 20
    samples = samples_of(patches, previous=[0])
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2)  # one pixel of smoothing, cut at four sigma
    peak, beside = 20 * weights[4] * weights[4:6] / weights.sum() ** 2
    assert ChangeThreshold().anomaly_map(samples).max() == pytest.approx(peak, rel=1e-4)
    # Five pixels reach the level of the four direct neighbours.
    assert ChangeThreshold().score(samples) == pytest.approx(beside, rel=1e-4)


def test_smoothing_keeps_a_constant_beside_missing_pixels():
    image = np.full((1, 64, 64), 3.0, np.float32)
    image[0, 20:30, 20:30] = np.nan
    smoothed = smooth(image)
    assert np.isnan(smoothed[0, 20:30, 20:30]).all()
    # A weighted mean of equal values is that value; the tolerance is float32 rounding.
    np.testing.assert_allclose(smoothed[np.isfinite(image)], 3.0, rtol=1e-6)


def test_anomaly_map_is_the_smoothed_change(samples_of):
    patches = np.random.default_rng(3).normal(size=(2, 64, 64))
    samples = samples_of(patches, previous=[0])
    np.testing.assert_array_equal(ChangeThreshold().anomaly_map(samples), smooth(samples.channel("dvv")))


def test_without_positives_to_tune_on_the_untuned_values_stay(negatives_of, small_settings):
    detector, untuned = ChangeThreshold(), ChangeThreshold()
    nothing = negatives_of(np.zeros((2, 64, 64)))
    summary = detector.fit(nothing, nothing, small_settings)
    assert (summary.version, summary.parameters, summary.history) == (untuned.version, 0, ())


def test_tuning_finds_the_size_and_the_polarisation_of_the_deposits(simulated_season, small_settings):
    # Bright spots of four pixels on negatives: only more than four connected pixels tell them from tongues.
    samples = simulated_season.samples
    spotted = {name: patches.copy() for name, patches in samples.backscatter.items()}
    negatives = samples.current[simulated_season.new == "negative"]
    spotted["vv_star"][negatives, 30:32, 30:32] += 12
    spotted["vh_star"] = np.zeros_like(spotted["vv_star"])
    validation = replace(simulated_season, samples=replace(samples, backscatter=spotted))
    detector = ChangeThreshold()
    detector.fit(validation, validation, small_settings)
    assert detector.polarisation == "vv"
    assert detector.pixels > 5
    assert detector.version != ChangeThreshold().version
