import numpy as np
import pytest

from avalanche_assets.backscatter.star import ratio_db, reference_median, scene_change_db


def test_ratio_is_ten_times_the_decimal_logarithm():
    sigma0 = np.array([[2.0, 0.1]], np.float32)
    reference = np.array([[1.0, 1.0]], np.float32)
    # 10 log10(2) = 3.0103, 10 log10(0.1) = -10
    assert ratio_db(sigma0, reference) == pytest.approx(np.array([[3.0103, -10.0]]), abs=1e-4)


def test_ratio_of_an_image_with_itself_is_exactly_zero():
    image = np.random.default_rng(1).gamma(4.4, 0.02, (50, 50)).astype(np.float32)
    assert (ratio_db(image, image) == 0).all()


@pytest.mark.parametrize("value", [0.0, -1e-3, np.nan])
def test_ratio_never_takes_the_logarithm_of_a_non_positive_power(value):
    one = np.ones((1, 1), np.float32)
    bad = np.full((1, 1), value, np.float32)
    assert np.isnan(ratio_db(bad, one)).all()
    assert np.isnan(ratio_db(one, bad)).all()


def test_reference_is_the_median_of_what_is_there():
    first = np.array([[1.0, np.nan, np.nan]], np.float32)
    second = np.array([[9.0, 2.0, np.nan]], np.float32)
    third = np.array([[3.0, 4.0, np.nan]], np.float32)
    np.testing.assert_array_equal(reference_median([first, second, third]), [[3.0, 3.0, np.nan]])


def test_scene_change_ignores_a_small_bright_deposit():
    old = np.zeros((100, 100), np.float32)
    new = np.full((100, 100), 3.2, np.float32)
    new[40:45, 40:45] += 8
    assert scene_change_db(new, old) == pytest.approx(3.2)
    assert np.isnan(scene_change_db(new, np.full_like(old, np.nan)))
