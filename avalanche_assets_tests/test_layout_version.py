import json

import pytest
from minimal_settings import AREA, minimal_settings
from stored_roots import names

from avalanche_assets.definitions import build_definitions
from avalanche_assets.errors import SettingsError
from avalanche_assets.layout import DataLayout
from avalanche_assets.layout_version import LAYOUT_VERSION, check_layout, stamp_layout
from avalanche_assets.resources.pipeline import Pipeline


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "avalanche.toml").write_text(minimal_settings(AREA))
    return tmp_path / "avalanche.toml"


@pytest.fixture
def layout(root):
    return DataLayout(root)


def test_a_data_root_without_a_version_is_of_this_one_and_keeps_it(layout):
    check_layout(layout)
    assert names(layout.root) == []
    stamp_layout(layout)
    assert json.loads(layout.version_file.read_text()) == {"layout": LAYOUT_VERSION}
    check_layout(layout)


@pytest.mark.parametrize(
    ("version", "remedy"), [(LAYOUT_VERSION + 1, "install the newer"), (LAYOUT_VERSION - 1, "changelog")]
)
def test_another_version_says_both_numbers_and_what_to_do(layout, version, remedy):
    layout.version_file.write_text(json.dumps({"layout": version}))
    with pytest.raises(SettingsError, match=rf"layout {version}, these programs have \d; .*{remedy}"):
        check_layout(layout)


@pytest.mark.parametrize("text", ["", "[1]", '{"layout": "one"}'])
def test_a_damaged_file_is_named(layout, text):
    layout.version_file.write_text(text)
    with pytest.raises(SettingsError, match=r"layout\.json.*restore it from the backup"):
        stamp_layout(layout)


def test_neither_the_code_location_nor_a_run_starts_on_another_layout(settings):
    (settings.parent / "data" / "layout.json").write_text('{"layout": 99}')
    with pytest.raises(SettingsError, match="layout 99"):
        build_definitions(settings)
    with pytest.raises(SettingsError, match="layout 99"):
        Pipeline(settings_file=str(settings)).settings  # noqa: B018


def test_the_first_run_writes_the_version_down(settings):
    assert Pipeline(settings_file=str(settings)).settings.data_root == settings.parent / "data"
    assert (settings.parent / "data" / "layout.json").exists()
