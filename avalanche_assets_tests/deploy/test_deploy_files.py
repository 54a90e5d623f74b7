import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from avalanche_assets.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    """docker-compose.yml as podman-compose resolves it; a stand-in answers for the absent engine."""
    podman = tmp_path_factory.mktemp("bin") / "podman"
    podman.write_text("#!/bin/sh\necho 'podman version 4.9.0'\n")
    podman.chmod(podman.stat().st_mode | stat.S_IXUSR)
    command = [str(Path(sys.executable).parent / "podman-compose"), "--podman-path", str(podman)]
    variables = {"DAGSTER_POSTGRES_PASSWORD": "secret", "AVALANCHE_DATA": "/srv/avalanche"}
    result = subprocess.run(
        [*command, "-f", str(ROOT / "docker-compose.yml"), "config"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return yaml.safe_load(result.stdout)


def test_compose_has_every_service_and_one_daemon(compose):
    assert set(compose["services"]) == {"postgres", "migrate", "code", "webserver", "daemon"}


def test_compose_services_that_stay_up_are_checked_and_not_root(compose):
    for name in ("code", "webserver", "daemon"):
        assert "healthcheck" in compose["services"][name], name
        assert compose["services"][name]["user"] != "0", name


def test_compose_commands_exist_in_the_installed_packages(compose):
    folder = Path(sys.executable).parent
    for name in ("migrate", "code", "webserver", "daemon"):
        command = compose["services"][name]["command"]
        program = (shlex.split(command) if isinstance(command, str) else command)[0]
        assert (folder / program).exists(), program


def test_unauthenticated_web_server_listens_on_this_host_only(compose):
    assert compose["services"]["webserver"]["ports"] == ["127.0.0.1:3000:3000"]


@pytest.mark.parametrize("name", ["local", "compose"])
def test_instance_file_is_accepted_by_dagster(name, tmp_path, monkeypatch):
    for variable in ("HOST", "USER", "PASSWORD", "DB"):
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{variable}", "x")
    text = (ROOT / "deploy" / name / "dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(text)
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["telemetry"] == {"enabled": False}
    assert config["concurrency"]["pools"]["granularity"] == "op"


def test_local_instance_starts(tmp_path):
    (tmp_path / "dagster.yaml").write_text((ROOT / "deploy" / "local" / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled


def test_example_settings_are_valid_and_say_real_data():
    settings = load_settings(ROOT / "deploy" / "local" / "avalanche.example.toml")
    assert not settings.simulated
    assert settings.learning.base_channels == 64
