"""The commands of docker-compose.yml as plain processes of this host, on SQLite instead of PostgreSQL."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from running_dagster import ROOT, DagsterClient, environment, free_port, local_home, running

pytestmark = pytest.mark.integration

SETTINGS = """
data_root = "data"
[source]
folder = "products"
area = [5.4, 43.9, 7.8, 46.5]
[terrain]
dem = "dem.tif"
vertical_datum = "ellipsoidal"
[inventory]
corridors = "corridors.gpkg"
events = "events.csv"
"""
PRODUCT = "S1A_IW_GRDH_1SDV_20180220T054328_20180220T054330_020686_5150CE_5101.SAFE.zip"
"""Of orbit 139; the catalogue asks for no more than a product's name."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Code server, web server and daemon, with the hosts, ports and paths of containers replaced."""
    folder, logs = tmp_path_factory.mktemp("deployment"), tmp_path_factory.mktemp("logs")
    settings = folder / "avalanche.toml"
    settings.write_text(SETTINGS)
    (folder / "products").mkdir()
    (folder / "products" / PRODUCT).touch()
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    code_port, web_port = free_port(), free_port()
    workspace = yaml.safe_load((ROOT / "deploy" / "compose" / "workspace.yaml").read_text())
    workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": code_port}
    (folder / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    here = {
        "0.0.0.0": "127.0.0.1",
        "4000": str(code_port),
        "3000": str(web_port),
        "/opt/dagster/workspace.yaml": str(folder / "workspace.yaml"),
    }
    env = environment(local_home(tmp_path_factory.mktemp("dagster_home")), settings, web_port)
    client = DagsterClient(web_port, logs)

    def health(service: str) -> bool:
        """Whether the service's health check succeeds."""
        test = services[service]["healthcheck"]["test"][1:]
        words = [here.get(word, word).replace("localhost:3000", f"127.0.0.1:{web_port}") for word in test]
        command = [str(Path(sys.executable).parent / words[0]), *words[1:]]
        return subprocess.run(command, env={**os.environ, **env}, capture_output=True).returncode == 0

    with ExitStack() as processes:
        for service in ("code", "webserver", "daemon"):
            name, *arguments = (here.get(word, word) for word in services[service]["command"])
            processes.enter_context(running(name, *arguments, env=env, logs=logs))
            # Compose starts the others when the code server is healthy.
            if service == "code":
                client.wait("healthy code server", lambda: health("code"), 120)
        client.wait_until_loaded()
        yield SimpleNamespace(client=client, health=health)


def test_location_loads_from_the_code_server(stack):
    assert stack.client.load_error() is None
    assert {"acquisition_catalogue", "sigma0", "season_report"} <= stack.client.asset_names()


@pytest.mark.parametrize("service", ["code", "webserver", "daemon"])
def test_health_check_passes_while_the_service_runs(stack, service):
    stack.client.wait(f"healthy {service}", lambda: stack.health(service), 90)


def test_daemon_runs_what_is_launched_and_the_code_server_loads_the_new_date(stack):
    assert stack.client.partitions("sigma0") == []
    assert stack.client.wait_for_run(stack.client.materialise("acquisition_catalogue")) == "SUCCESS"
    stack.client.wait("the new partition", lambda: stack.client.partitions("sigma0") == ["2018-02-20"], 60)
