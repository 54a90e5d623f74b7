from pathlib import Path

import pytest

from avalanche_assets.errors import SettingsError
from avalanche_assets.layout import DataLayout
from avalanche_assets.settings import SETTINGS_VARIABLE, Settings, load_settings

MINIMAL = """
data_root = "data"
[source]
kind = "raster_folder"
folder = "products"
[inventory]
corridors = "inventory/corridors.gpkg"
"""
TERRAIN = '[terrain]\ndem = "/dem/alps.tif"\nvertical_datum = "EGM2008"\n'
EVENTS = 'events = "inventory/events.csv"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "avalanche.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_relative_paths_are_relative_to_the_file_and_absolute_ones_stay(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    settings = load_settings(write(tmp_path, MINIMAL + EVENTS + TERRAIN))
    assert settings.data_root == tmp_path / "data"
    assert settings.source.folder == tmp_path / "products"
    assert settings.inventory.corridors == tmp_path / "inventory" / "corridors.gpkg"
    assert settings.inventory.events == tmp_path / "inventory" / "events.csv"
    assert settings.inventory.massifs is None
    assert settings.terrain is not None
    assert settings.terrain.dem == Path("/dem/alps.tif")


def test_a_data_root_in_a_bucket_is_no_relative_path_and_is_written_as_it_was(tmp_path):
    settings = load_settings(write(tmp_path, MINIMAL.replace('"data"', '"s3://bucket/a winter/"')))
    assert str(settings.layout.detections("2018-01-03")) == (
        "s3://bucket/a winter/detection/detections/acquisition_date=2018-01-03/detections.parquet"
    )
    assert settings.model_dump(mode="json")["data_root"] == "s3://bucket/a winter"
    assert Settings.model_validate(settings.model_dump(mode="json", exclude_none=True)) == settings


def test_tiles_of_glo30_need_no_other_setting(tmp_path):
    terrain = load_settings(write(tmp_path, MINIMAL + EVENTS + '[terrain]\nsource = "glo30"\n')).terrain
    assert terrain is not None
    assert (terrain.dem, terrain.vertical_datum, terrain.geoid_grid) == (None, "EGM2008", None)


def test_defaults_are_those_of_the_design_and_the_paper(tmp_path):
    settings = load_settings(write(tmp_path, MINIMAL))
    assert (settings.track.relative_orbit, settings.track.direction) == (139, "DESCENDING")
    assert (settings.grid.crs, settings.grid.resolution_m) == ("EPSG:32632", 20)
    assert (settings.learning.latent_size, settings.learning.kl_weight) == (300, 0.1)
    assert settings.season.max_gap_days == 24
    assert settings.layout == DataLayout(tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (MINIMAL.replace('data_root = "data"', ""), "data_root"),
        (MINIMAL.replace('"data"', '"s3:///winter"'), r"data_root: .*is not s3://bucket/prefix"),
        (MINIMAL.replace('"data"', '"s3://key:secret@bucket"'), r"data_root: .*keys and endpoint come from"),
        (MINIMAL.replace('"data"', '"gs://bucket"'), r"data_root: .*neither a folder nor s3://"),
        (MINIMAL + "[grid]\nresolution_m = 15\n", r"grid\.resolution_m"),
        (MINIMAL + "[track]\nrelative_orbit = 176\n", r"track\.relative_orbit"),
        (MINIMAL + '[learning]\ndetectors = ["vea"]\n', r"learning\.detectors\.0"),
        (MINIMAL + "[learning]\nlatent = 3\n", r"learning\.latent"),
        (MINIMAL + EVENTS + TERRAIN.replace("EGM2008", "NGF"), r"terrain\.vertical_datum"),
        (MINIMAL + "[detection]\nfalse_alarm_rate = 1.0\n", r"detection\.false_alarm_rate"),
        (MINIMAL + EVENTS + '[terrain]\ndem = "d.tif"\n', r"terrain\.vertical_datum: Field required"),
        (MINIMAL + EVENTS + '[terrain]\nvertical_datum = "EGM96"\n', r"terrain: .*dem is missing.*glo30"),
        (MINIMAL + EVENTS + '[terrain]\nsource = "glo30"\ndem = "d.tif"\n', r"terrain: .*dem is set"),
        (
            MINIMAL + EVENTS + '[terrain]\nsource = "glo30"\nvertical_datum = "EGM96"\n',
            r"terrain: .*vertical_datum of glo30 is EGM2008",
        ),
        (
            MINIMAL + EVENTS + '[terrain]\nsource = "glo30"\nglo30_url = "http://example.org"\n',
            r"terrain\.glo30_url: .*only https",
        ),
    ],
)
def test_wrong_settings_name_file_and_field(text, field, tmp_path):
    with pytest.raises(SettingsError, match=rf"avalanche\.toml: {field}"):
        load_settings(write(tmp_path, text))


def test_detector_of_detections_has_to_be_trained(tmp_path):
    text = MINIMAL + EVENTS + TERRAIN + '[learning]\ndetectors = ["random_forest"]\n'
    with pytest.raises(SettingsError, match=r"learning\.detectors lacks \w+, which detection\.detector"):
        load_settings(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (MINIMAL.replace("raster_folder", "safe_folder") + EVENTS, "terrain"),
        (MINIMAL + TERRAIN, r"inventory\.events"),
    ],
)
def test_parts_that_need_each_other_are_asked_for(text, missing, tmp_path):
    with pytest.raises(SettingsError, match=rf"avalanche\.toml: .*{missing}.* is missing"):
        load_settings(write(tmp_path, text))


def test_two_wrong_fields_are_both_named(tmp_path):
    text = MINIMAL + "[grid]\nresolution_m = 15\n[track]\nrelative_orbit = 0\n"
    with pytest.raises(SettingsError, match=r"track\.relative_orbit.*grid\.resolution_m"):
        load_settings(write(tmp_path, text))


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(
        SettingsError, match=rf"avalanche\.toml: settings file not found.*{SETTINGS_VARIABLE}"
    ):
        load_settings(tmp_path / "avalanche.toml")
    with pytest.raises(SettingsError, match=r"avalanche\.toml: not valid TOML"):
        load_settings(write(tmp_path, "data_root = "))
