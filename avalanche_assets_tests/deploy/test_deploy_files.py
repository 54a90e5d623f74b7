import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import dagster as dg
import pytest
import yaml
from compose_file import ROOT, command_of, resolved
from dagster._core.instance.config import dagster_instance_config

from avalanche_assets.settings import load_settings

STAYING = ("postgres", "code", "daemon", "webserver", "viewers", "proxy", "docker-proxy")
DAGSTER = ("migrate", "code", "daemon", "webserver", "viewers")


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    return resolved(tmp_path_factory.mktemp("bin"), "docker-compose.yml")


def mounts(service):
    return {volume.split(":")[1]: volume.split(":") for volume in service.get("volumes", [])}


def test_compose_has_every_service_and_one_daemon(compose):
    assert set(compose["services"]) == {*STAYING, "migrate"}
    commands = [command_of(service) for service in compose["services"].values() if "command" in service]
    assert sum(command[0] == "dagster-daemon" for command in commands) == 1


@pytest.mark.parametrize("name", STAYING)
def test_compose_services_that_stay_up_are_started_again_and_bounded(compose, name):
    service = compose["services"][name]
    assert service["restart"] == "unless-stopped"
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert service["logging"]["options"]["max-size"]
    # The socket proxy's image has no shell to check it with; the daemon's health shows whether it answers.
    assert "healthcheck" in service or name == "docker-proxy"


@pytest.mark.parametrize("name", [*STAYING, "migrate"])
def test_compose_services_have_no_privileges(compose, name):
    service = compose["services"][name]
    assert service["user"].split(":")[0] not in ("0", "root", "")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_no_secret_stands_in_the_compose_file(compose):
    for name, service in compose["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            secret = any(word in variable for word in ("PASSWORD", "SECRET", "KEY", "WEBHOOK", "USERNAME"))
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"
            assert not value or not variable.endswith("_FILE") or value.startswith("/run/secrets/")
    assert all("file" in secret for secret in compose["secrets"].values())


def test_only_the_socket_proxy_has_the_socket_and_it_lets_no_folder_of_the_host_be_mounted(compose):
    with_socket = [
        name for name, service in compose["services"].items() if "/var/run/docker.sock" in mounts(service)
    ]
    assert with_socket == ["docker-proxy"]
    socket_proxy = compose["services"]["docker-proxy"]
    assert "-allowbindmountfrom=/var/empty" in command_of(socket_proxy)
    neighbours = {
        name for name, service in compose["services"].items() if "docker" in service.get("networks", [])
    }
    assert neighbours == {"daemon", "webserver", "docker-proxy"}
    assert compose["networks"]["docker"]["internal"] is True


def test_only_the_proxy_is_reached_from_outside(compose):
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {"proxy": ["127.0.0.1:8443:8443"]}
    assert compose["networks"]["inside"]["internal"] is True


def test_viewers_web_server_is_read_only(compose):
    assert "--read-only" in command_of(compose["services"]["viewers"])


def test_runs_get_volumes_networks_and_variables_that_the_compose_file_has(compose):
    instance = yaml.safe_load((ROOT / "deploy" / "compose" / "dagster.yaml").read_text())
    launcher = instance["run_launcher"]["config"]
    daemon = compose["services"]["daemon"]
    assert set(launcher["env_vars"]) == set(daemon["environment"]) - {"DOCKER_HOST"}
    named = {volume["name"] for volume in compose["volumes"].values() if volume and "name" in volume}
    kwargs = launcher["container_kwargs"]
    assert {volume.split(":")[0] for volume in kwargs["volumes"]} == named
    assert set(launcher["networks"]) == {"avalanche-inside", "avalanche-outside"}
    code = compose["services"]["code"]
    assert {"/data", "/run/secrets"} <= set(mounts(code))
    assert kwargs["user"] == daemon["user"]
    assert (kwargs["read_only"], kwargs["cap_drop"]) == (True, ["ALL"])


def test_example_environment_names_every_variable_of_the_compose_file():
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    named = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == used


def test_compose_commands_exist_in_the_installed_packages(compose):
    folder = Path(sys.executable).parent
    for name in DAGSTER:
        program = command_of(compose["services"][name])[0]
        assert (folder / program).exists(), program


def test_dockerfile_follows_the_rules():
    hadolint = Path(sys.executable).parent / "hadolint"
    result = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (result.stdout, result.returncode) == ("", 0)


@pytest.mark.integration
def test_image_installs_what_the_package_needs(tmp_path):
    """The Dockerfile's installation from the files that it copies, into an empty environment.

    Dependencies come from this environment, whose existence shows that the constraints can be installed.
    """
    steps = (ROOT / "Dockerfile").read_text()
    source = tmp_path / "source"
    for names in re.findall(r"^COPY ((?:pyproject|avalanche).*) \S+$", steps, re.MULTILINE):
        for name in names.split():
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            source.mkdir(exist_ok=True)
            copy(ROOT / name, source / name)
    (install,) = re.findall(r"^RUN pip (install .*)$", steps, re.MULTILINE)
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    (packages / "dependencies.pth").write_text(f"{Path(yaml.__file__).parents[1]}\n")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python)]
    no_network = ["--no-deps", "--no-build-isolation", "--no-index"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [*pip, *shlex.split(install), *no_network],
        cwd=source,
        env=environment,
        check=True,
    )
    shutil.copy(ROOT / "deploy" / "local" / "avalanche.example.toml", tmp_path / "avalanche.toml")
    code = (
        "import avalanche_assets, avalanche_assets.definitions as d; "
        "from avalanche_assets.reporting.pages import __file__ as pages; "
        "assert d.defs().resolve_asset_graph(); print(avalanche_assets.__file__)"
    )
    loaded = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert Path(loaded.stdout.strip()).is_relative_to(packages)
    installed = {
        path.relative_to(packages) for path in packages.rglob("avalanche_assets/**/*") if path.is_file()
    }
    data = {Path("avalanche_assets") / p.relative_to(ROOT / "avalanche_assets") for p in package_data()}
    assert data <= installed


def package_data():
    endings = {".html", ".css", ".js", ".po", ".csv", ".typed"}
    return [path for path in (ROOT / "avalanche_assets").rglob("*") if path.suffix in endings]


def test_image_holds_no_file_that_is_not_named():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == allowed


@pytest.mark.parametrize(
    "unit", sorted((ROOT / "deploy" / "celery" / "systemd").iterdir()), ids=lambda p: p.name
)
def test_units_are_confined_and_start_programs_that_exist(unit):
    text = unit.read_text()
    assert re.search(r"^ExecStart=/opt/avalanche/with-broker /opt/avalanche/venv/bin/", text, re.MULTILINE)
    (program,) = re.findall(r"venv/bin/([a-z-]+) ", text)
    assert (Path(sys.executable).parent / program).exists()
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert settings["User"] == "avalanche"
    assert (settings["NoNewPrivileges"], settings["CapabilityBoundingSet"]) == ("true", "")
    assert (settings["ProtectSystem"], settings["Restart"]) == ("strict", "always")
    assert {"MemoryMax", "EnvironmentFile"} <= set(settings)


def test_files_that_the_documentation_names_exist():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {name for page in pages for name in re.findall(r"\bdeploy/[\w./@-]*\w", page.read_text())}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["local", "compose"])
def test_instance_file_is_accepted_by_dagster(name, tmp_path, monkeypatch):
    for variable in ("HOST", "USER", "DB"):
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{variable}", "x")
    monkeypatch.setenv("DAGSTER_POSTGRES_PORT", "5432")
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
