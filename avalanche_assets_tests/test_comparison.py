"""Varying one setting: what is allowed, and what is trained again on the stored pairs."""

import pytest
from detection_world import example_settings

from avalanche_assets.comparison import learning_alone, parsed, with_field
from avalanche_assets.errors import SettingsError


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("learning.kl_weight", "0.01", 0.01),
        ("learning.latent_size", "16", 16),
        ("learning.angle", "local_incidence", "local_incidence"),
        ("grid.resolution_m", "10", 10),
        ("detection.label_window", "recent", "recent"),
    ],
)
def test_one_setting_changes_and_nothing_else(tmp_path, field, text, value):
    settings = example_settings(tmp_path)
    changed = with_field(settings, field, parsed(text))
    section, name = field.split(".")
    assert getattr(getattr(changed, section), name) == value
    assert with_field(changed, field, getattr(getattr(settings, section), name)) == settings


def test_unknown_fields_and_values_are_refused_by_name(tmp_path):
    settings = example_settings(tmp_path)
    with pytest.raises(SettingsError, match=r"learning\.beta = 1"):
        with_field(settings, "learning.beta", 1)
    with pytest.raises(SettingsError, match=r"learning\.angle = 'some'"):
        with_field(settings, "learning.angle", "some")


def test_what_changes_patches_labels_or_split_is_not_trained_on_the_stored_ones():
    assert learning_alone("learning.kl_weight")
    assert learning_alone("learning.angle")
    assert learning_alone("backscatter.scene_correction")
    for field in ("learning.test_dates", "learning.split_by", "grid.resolution_m", "inventory.recent_days"):
        assert not learning_alone(field)
