"""The compose stack as plain processes of this host: the same commands, environments and instance file.

PostgreSQL and nginx are this machine's; Docker is a stand-in that starts a process for each container, behind
the rules of the socket proxy. Only hosts, ports and paths are replaced.
"""

import os
import shutil
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
import requests
import yaml
from compose_file import ROOT, command_of, resolved
from local_services import nginx, postgres
from loopback.fake_docker import FakeDocker
from loopback.server import LoopbackServer
from running_dagster import DagsterClient, free_port, running

pytestmark = pytest.mark.integration

DATES = ["2018-02-14", "2018-02-20"]
RELOAD = "mutation { reloadWorkspace { __typename } }"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """What deploy/compose/prepare.sh makes, run twice, and what it says."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "deploy" / "compose").mkdir(parents=True)
    script = shutil.copy(ROOT / "deploy" / "compose" / "prepare.sh", folder / "deploy" / "compose")
    (folder / ".env").write_text(f"AVALANCHE_DATA={folder}/data\nAVALANCHE_SECRETS={folder}/secrets\n")
    env = {**os.environ, "AVALANCHE_OWNER": f"{os.getuid()}:{os.getgid()}"}

    def run():
        done = subprocess.run(["sh", script], env=env, check=True, capture_output=True, text=True)
        files = {path: path.read_bytes() for path in (folder / "secrets").rglob("*") if path.is_file()}
        return done.stdout, files

    (said, made), again = run(), run()
    passwords = dict(line.split(": password ") for line in said.splitlines() if ": password " in line)
    return SimpleNamespace(
        folder=folder,
        secrets=folder / "secrets",
        passwords={people: rest.split()[0] for people, rest in passwords.items()},
        unchanged=(made, "") == (again[1], again[0]),
    )


@pytest.fixture(scope="module")
def season(tiny_season, tmp_path_factory):
    """Two dates of the tiny season as delivered, nothing made."""
    folder = tmp_path_factory.mktemp("season")
    for name in ("inventory", "orbits"):
        (folder / name).symlink_to(tiny_season.folder / name)
    for name in ("dem.tif", tiny_season.settings_file.name):
        shutil.copy(tiny_season.folder / name, folder)
    (folder / "products").mkdir()
    for product in (tiny_season.folder / "products").iterdir():
        if any(f"_{day.replace('-', '')}T" in product.name for day in DATES):
            (folder / "products" / product.name).symlink_to(product)
    return folder / tiny_season.settings_file.name


@pytest.fixture(scope="module")
def stack(prepared, season, tmp_path_factory):
    """Everything that `docker compose up` starts, in its order."""
    logs, home = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("dagster_home")
    shutil.copy(ROOT / "deploy" / "compose" / "dagster.yaml", home)
    compose = resolved(tmp_path_factory.mktemp("bin"), "docker-compose.yml")
    services = compose["services"]
    ports = SimpleNamespace(**{name: free_port() for name in ("code", "web", "view", "proxy")})
    workspace = yaml.safe_load((ROOT / "deploy" / "compose" / "workspace.yaml").read_text())
    workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": ports.code}
    (logs / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    client = DagsterClient(ports.web, logs)
    password = (prepared.secrets / "postgres_password").read_text().strip()

    with ExitStack() as processes:
        database = processes.enter_context(postgres(password=password))
        docker = FakeDocker(
            processes.enter_context(LoopbackServer()), command_of(services["docker-proxy"]), logs
        )
        processes.callback(docker.end)
        here = {
            "0.0.0.0": "127.0.0.1",
            "4000": str(ports.code),
            "3000": str(ports.web),
            "3001": str(ports.view),
            "5432": str(database.port),
            "postgres": "127.0.0.1",
            "webserver:3000": f"127.0.0.1:{ports.web}",
            "tcp://docker-proxy:2375": f"tcp://127.0.0.1:{docker.server.port}",
            "/opt/dagster/home": str(home),
            "/opt/dagster/workspace.yaml": str(logs / "workspace.yaml"),
            "/data/avalanche.toml": str(season),
            "/run/secrets/pgpass": str(prepared.secrets / "runs" / "pgpass"),
        }

        def environment(service):
            return {name: here.get(value, value) for name, value in services[service]["environment"].items()}

        def start(service):
            name, *words = (here.get(word, word) for word in command_of(services[service]))
            logs_of_service = logs / service
            logs_of_service.mkdir()
            return running(name, *words, env=environment(service), logs=logs_of_service)

        def health(service):
            """Whether the service's health check succeeds."""
            test = services[service]["healthcheck"]["test"][1:]
            words = [here.get(word, word) for word in test]
            for port in ("3000", "3001"):
                words = [word.replace(f"localhost:{port}", f"127.0.0.1:{here[port]}") for word in words]
            command = [str(Path(sys.executable).parent / words[0]), *words[1:]]
            return (
                subprocess.run(
                    command, env={**os.environ, **environment(service)}, capture_output=True
                ).returncode
                == 0
            )

        migrate = [str(Path(sys.executable).parent / "dagster"), *command_of(services["migrate"])[1:]]
        subprocess.run(migrate, env={**os.environ, **environment("migrate")}, check=True, capture_output=True)
        for service in ("code", "daemon", "webserver", "viewers"):
            processes.enter_context(start(service))
            # Compose starts the others when the code server is healthy.
            if service == "code":
                client.wait("healthy code server", lambda: health("code"), 120)
        client.wait_until_loaded()
        client.wait("viewers' web server", lambda: health("viewers"), 60)
        configuration = (ROOT / "deploy" / "compose" / "nginx.conf").read_text()
        for name, value in {
            "webserver:3000": f"127.0.0.1:{ports.web}",
            "viewers:3001": f"127.0.0.1:{ports.view}",
            "8443": f"127.0.0.1:{ports.proxy}",
            "/run/secrets/": f"{prepared.secrets}/proxy/",
        }.items():
            configuration = configuration.replace(name, value)
        processes.enter_context(nginx(configuration, tmp_path_factory.mktemp("nginx"), ports.proxy))
        yield SimpleNamespace(
            client=client,
            health=health,
            docker=docker,
            database=database,
            home=home,
            url=f"https://127.0.0.1:{ports.proxy}",
            certificate=str(prepared.secrets / "proxy" / "tls_certificate"),
            passwords=prepared.passwords,
            secret=password,
        )


@pytest.fixture(scope="module")
def backfilled(stack):
    """The catalogue, then a backfill of products and orbits of both dates; each run in a container."""
    client = stack.client
    before = client.partitions("sigma0")
    catalogue = client.wait_for_run(client.materialise("acquisition_catalogue"))
    client.wait("the dates' partitions", lambda: client.partitions("sigma0") == DATES, 60)
    backfill = client.backfill_assets(["s1_products", "orbit_files"], DATES)
    runs = client.wait_for_runs(backfill, 240)
    return SimpleNamespace(before=before, catalogue=catalogue, runs=runs)


def ask(stack, path, people=None, password=None, query="{ version }", **headers):
    """A POST of a GraphQL query through the proxy."""
    login = (people, password or stack.passwords[people]) if people else None
    return requests.post(
        stack.url + path,
        json={"query": query},
        auth=login,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        verify=stack.certificate,
        timeout=30,
    )


def test_secrets_are_made_once_and_nobody_else_can_read_them(prepared):
    assert prepared.unchanged
    assert set(prepared.passwords) == {"operators", "viewers"}
    for path in prepared.secrets.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_location_loads_from_the_code_server(stack):
    assert stack.client.load_error() is None
    assert {"acquisition_catalogue", "sigma0", "season_report"} <= stack.client.asset_names()


@pytest.mark.parametrize("service", ["code", "webserver", "viewers", "daemon"])
def test_health_check_passes_while_the_service_runs(stack, service):
    stack.client.wait(f"healthy {service}", lambda: stack.health(service), 90)


def test_a_backfill_runs_each_date_in_a_container_of_its_own(stack, backfilled):
    assert (backfilled.before, backfilled.catalogue) == ([], "SUCCESS")
    assert {(run["tags"]["partition"], run["status"]) for run in backfilled.runs} == {
        (day, "SUCCESS") for day in DATES
    }
    assert len(stack.docker.containers) == 1 + len(DATES)
    for container in stack.docker.containers.values():
        assert container.spec["Image"] == "avalanche-assets:latest"
        assert container.networks == ["avalanche-inside", "avalanche-outside"]


def test_containers_of_runs_are_as_confined_as_the_services(stack, backfilled):
    for container in stack.docker.containers.values():
        host = container.spec["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert container.spec["User"] == "10001:10001"
        assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (8 << 30, 2_000_000_000, 500)
        assert "avalanche-run-secrets:/run/secrets:ro" in host["Binds"]
    assert stack.docker.refused == []


def test_socket_proxy_stops_what_no_run_needs(stack):
    import docker

    engine = docker.DockerClient(f"tcp://127.0.0.1:{stack.docker.server.port}")
    for attempt in (
        engine.containers.list,
        lambda: engine.containers.create("alpine", volumes=["/:/host"]),
        lambda: engine.images.pull("alpine:3"),
        lambda: engine.volumes.create("escape"),
        lambda: engine.api.exec_create("0" * 12, "sh"),
    ):
        with pytest.raises(docker.errors.APIError) as refused:
            attempt()
        assert refused.value.status_code == 403
    stack.docker.refused.clear()


def test_no_secret_reaches_a_container_the_command_line_or_the_database(stack, backfilled):
    for container in stack.docker.containers.values():
        assert stack.secret not in str(container.spec)
    dump = stack.database.run("pg_dump", "--inserts", "dagster")
    assert backfilled.runs[0]["runId"] in dump
    assert stack.secret not in dump


def test_instance_keeps_everything_in_postgresql(stack, backfilled):
    with (
        psycopg2.connect(
            host="127.0.0.1",
            port=stack.database.port,
            user="dagster",
            password=stack.secret,
            dbname="dagster",
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select count(*) from runs")
        assert cursor.fetchone() == (1 + len(DATES),)
    # The root of a container is read-only; `storage`, where logs of runs go, is a volume.
    assert {path.name for path in stack.home.iterdir()} <= {"dagster.yaml", "storage"}


def test_proxy_asks_operators_and_viewers_for_their_own_passwords(stack):
    assert ask(stack, "/graphql").status_code == 401
    assert ask(stack, "/view/graphql").status_code == 401
    assert ask(stack, "/graphql", "viewers").status_code == 401
    assert ask(stack, "/graphql", "operators", password="wrong").status_code == 401
    assert ask(stack, "/graphql", "operators").json()["data"]["version"]
    assert ask(stack, "/view/graphql", "viewers").json()["data"]["version"]
    assert requests.get(f"{stack.url}/healthy", verify=stack.certificate, timeout=30).status_code == 204


def test_pages_are_served_through_the_proxy(stack):
    for people, path in (("operators", "/"), ("viewers", "/view")):
        page = requests.get(
            stack.url + path,
            auth=(people, stack.passwords[people]),
            verify=stack.certificate,
            timeout=30,
        )
        assert "__NEXT_DATA__" in page.text
        assert page.headers["X-Frame-Options"] == "DENY"


def test_viewers_cannot_change_anything(stack):
    answer = ask(stack, "/view/graphql", "viewers", query=RELOAD).json()
    assert answer["data"]["reloadWorkspace"]["__typename"] == "UnauthorizedError"
    link = f"{stack.url}/view/graphql?query={RELOAD}"
    login = ("viewers", stack.passwords["viewers"])
    answer = requests.get(link, auth=login, verify=stack.certificate, timeout=30).json()
    assert answer["data"]["reloadWorkspace"]["__typename"] == "UnauthorizedError"
    reported = requests.post(
        f"{stack.url}/view/report_asset_materialization/dem",
        auth=login,
        verify=stack.certificate,
        timeout=30,
    )
    assert reported.status_code == 401


def test_other_sites_cannot_use_an_operators_login(stack):
    login = ("operators", stack.passwords["operators"])
    link = f"{stack.url}/graphql?query={RELOAD}"
    assert requests.get(link, auth=login, verify=stack.certificate, timeout=30).status_code == 403
    encoded = link.replace("?query", "?%71uery")
    assert requests.get(encoded, auth=login, verify=stack.certificate, timeout=30).status_code == 403
    foreign = ask(stack, "/graphql?op=Reload", "operators", query=RELOAD, Origin="https://example.org")
    assert foreign.status_code == 403
    own = ask(stack, "/graphql?op=Version", "operators", Origin=stack.url)
    assert own.json()["data"]["version"]
