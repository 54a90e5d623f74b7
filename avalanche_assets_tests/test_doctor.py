"""`avalanche doctor`: what it looks at, what it says to mend, and its exit code."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
import rasterio
from automation.operations_desk import acquisition
from loopback.data_space import ENVIRONMENT, DataSpace
from loopback.fake_cdse import MARK, FakeCdse
from loopback.server import Fault
from model_cards import example_card
from rasterio.transform import from_origin
from stored_roots import names
from typer.testing import CliRunner

from avalanche_assets import doctor
from avalanche_assets.catalogue.acquisitions import write_catalogue
from avalanche_assets.cli import app
from avalanche_assets.detectors.registry import promote, register
from avalanche_assets.doctor import examine
from avalanche_assets.settings import load_settings

SETTINGS = """
data_root = "data"
[source]
kind = "cdse"
folder = "products"
orbits = "orbits"
area = [6.0, 45.0, 6.5, 45.5]
cdse = {{ catalogue_url = "{url}/odata/v1", token_url = "{token}", download_url = "{url}/odata/v1" }}
transfer = {{ keep_free_gb = 0.0 }}
[terrain]
dem = "dem.tif"
vertical_datum = "{datum}"
[inventory]
corridors = "corridors.gpkg"
events = "events.csv"
"""


@pytest.fixture
def space(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # Nobody waits in a test; what is tried twice stays tried twice.
    monkeypatch.setitem(doctor.PATIENCE, "first_wait_s", 0.0)
    monkeypatch.setitem(doctor.PATIENCE, "longest_wait_s", 0.0)
    with FakeCdse() as server:
        yield DataSpace(server)


def write_dem(path):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=60,
        height=60,
        count=1,
        dtype="float32",
        crs="EPSG:32632",
        transform=from_origin(280000.0, 5040000.0, 500.0, 500.0),
    ) as dataset:
        dataset.write(np.full((60, 60), 1500.0, np.float32), 1)


def deploy(folder, space, datum="ellipsoidal", extra=""):
    text = SETTINGS.format(url=space.server.url, token=space.server.token_url, datum=datum)
    settings = folder / "avalanche.toml"
    settings.write_text(text + extra)
    write_dem(folder / "dem.tif")
    for name in ("corridors.gpkg", "events.csv"):
        (folder / name).touch()
    return settings


@pytest.fixture
def settings(tmp_path, space, monkeypatch):
    """A deployment that lacks nothing but a season's work."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("AVALANCHE_WEBSERVER", "127.0.0.1:3000")
    return deploy(tmp_path, space)


def found(settings):
    """Findings by what was looked at."""
    by_subject = defaultdict(list)
    for finding in examine(settings):
        by_subject[finding.subject].append(finding)
    return by_subject


def failed(settings):
    return [
        finding for findings in found(settings).values() for finding in findings if finding.level == "fail"
    ]


def test_a_deployment_that_is_ready_has_nothing_to_mend(settings):
    findings = found(settings)
    assert failed(settings) == []
    assert set(findings) == {"settings", *doctor.EXAMINATIONS}
    assert findings["credentials"][0].told == "the account of CDSE_USERNAME and CDSE_PASSWORD was let in"
    assert findings["clock"][0].level == "ok"
    assert "covers the grid" in findings["terrain"][0].told


def test_what_is_not_there_yet_is_a_warning_that_says_how_to_get_it(settings):
    warned = {finding.told: finding.remedy for finding in found(settings)["learned"]}
    assert len(warned) == 3
    assert all(remedy for remedy in warned.values())
    (registered,) = [one for one in found(settings)["catalogue"] if "no date is registered" in one.told]
    assert "avalanche season" in registered.remedy


def test_a_folder_of_an_old_winter_needs_the_reference_of_that_winter_alone(settings):
    settings.write_text(settings.read_text().replace('kind = "cdse"', 'kind = "safe_folder"'))
    layout = load_settings(settings).layout

    def references():
        return [one for one in found(settings)["learned"] if one.told.startswith("reference of")]

    assert references() == []
    write_catalogue(layout.acquisition_catalogue, [acquisition("2018-01-03")])
    (missing,) = references()
    assert (missing.level, missing.told) == ("warn", "reference of 2017-18: none, so no new bulletin comes")
    layout.reference_sigma0("2017-18").parent.mkdir(parents=True)
    layout.reference_sigma0("2017-18").touch()
    (there,) = references()
    assert there.level == "ok"


def test_no_bulletin_comes_before_a_model_is_promoted(settings):
    loaded = load_settings(settings)
    (told,) = found(settings)["promoted"]
    assert (told.level, told.remedy) == ("warn", "materialise promoted_model, or launch promote_model")
    loaded.layout.model("vae").mkdir(parents=True)
    version = register(loaded.layout, example_card(loaded, detector="vae")).version
    promote(loaded.layout, version)
    (told,) = found(settings)["promoted"]
    assert (told.level, told.told) == ("ok", f"detections come from {version}")
    (loaded.layout.model_registry / version / "card.json").write_text("{}")
    (told,) = found(settings)["promoted"]
    assert told.level == "fail"


def test_command_prints_a_line_each_and_succeeds(settings):
    result = CliRunner().invoke(app, ["doctor", str(settings)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines[:-1])
    assert lines[-1].startswith("0 to mend")
    assert MARK not in result.output


def test_command_fails_when_something_is_to_mend(settings):
    (settings.parent / "events.csv").unlink()
    result = CliRunner().invoke(app, ["doctor", str(settings)])
    assert result.exit_code == 1
    assert "inventory.events" in result.output
    assert "put it there, or set inventory.events" in result.output


def test_settings_that_cannot_be_read_are_the_only_finding(tmp_path):
    path = tmp_path / "avalanche.toml"
    path.write_text("data_root = 1\n")
    (finding,) = examine(path)
    assert (finding.level, finding.subject) == ("fail", "settings")


def test_wrong_password_is_named_without_being_shown(settings, monkeypatch):
    monkeypatch.setenv("CDSE_PASSWORD", "wrong-secret")
    (finding,) = failed(settings)
    assert finding.subject == "credentials"
    assert "CDSE_PASSWORD" in finding.line
    assert "wrong-secret" not in finding.line


def test_missing_credentials_name_the_variable(settings, monkeypatch):
    monkeypatch.delenv("CDSE_PASSWORD")
    (finding,) = failed(settings)
    assert "CDSE_PASSWORD not set" in finding.told


def test_catalogue_that_does_not_answer_fails_and_the_clock_still_compares(settings, space):
    space.server.faults["/odata/v1/Products"].extend([Fault("status", status=503)] * 4)
    (finding,) = failed(settings)
    assert finding.subject == "catalogue"
    assert "503" in finding.told


@pytest.mark.parametrize(("minutes", "level"), [(0, "ok"), (-30, "fail"), (30, "fail")])
def test_clock_is_compared_with_the_servers(settings, monkeypatch, minutes, level):
    when = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda handler: when)
    (finding,) = found(settings)["clock"]
    assert finding.level == level
    assert ("timedatectl" in finding.remedy) == (level == "fail")


def test_elevation_model_that_does_not_cover_the_grid_fails(settings):
    text = settings.read_text()
    settings.write_text(text + "[grid]\nbounds = [200000.0, 4990000.0, 300000.0, 5030000.0]\n")
    (finding,) = failed(settings)
    assert finding.subject == "terrain"
    assert "does not cover" in finding.told


def test_geoid_grid_that_is_missing_fails(tmp_path, space, settings):
    deploy(tmp_path, space, datum="EGM2008")
    text = settings.read_text().replace("[inventory]", 'geoid_grid = "none.tif"\n[inventory]')
    settings.write_text(text)
    (finding,) = failed(settings)
    assert "geoid grid not found" in finding.told


def test_disk_that_is_full_fails(settings, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3e9}))
    (finding,) = failed(settings)
    assert "source.folder" in finding.told
    assert "free space" in finding.remedy


@pytest.mark.integration
def test_bucket_is_tried_out_and_a_missing_one_is_named(settings, bucket_root, store):
    text = settings.read_text()
    settings.write_text(text.replace('"data"', f'"{bucket_root}"'))
    (finding,) = found(settings)["data_root"]
    assert finding.level == "ok"
    assert "written, locked, listed, read and deleted" in finding.told
    assert names(bucket_root) == []
    settings.write_text(text.replace('"data"', '"s3://no-such-bucket/winter"'))
    finding = next(one for one in failed(settings) if one.subject == "data_root")
    assert "there is no such bucket" in finding.told
    assert finding.remedy == "create it, or mend data_root"


def test_webhook_without_address_fails(settings, monkeypatch):
    monkeypatch.delenv("AVALANCHE_ALERT_WEBHOOK", raising=False)
    settings.write_text(settings.read_text() + '[alert]\nby = "webhook"\n')
    (finding,) = failed(settings)
    assert "AVALANCHE_ALERT_WEBHOOK" in finding.told


def test_instance_without_a_home_fails(settings, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "relative")
    (finding,) = failed(settings)
    assert "DAGSTER_HOME" in finding.told


def test_one_broken_examination_does_not_hide_the_others(settings, monkeypatch):
    def broken(_):
        raise RuntimeError("oh")

    monkeypatch.setitem(doctor.EXAMINATIONS, "disk", broken)
    findings = found(settings)
    assert findings["disk"][0].remedy == "a defect: report it"
    assert findings["alert"]
