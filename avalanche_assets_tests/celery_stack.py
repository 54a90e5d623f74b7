"""The service of several machines (deploy/celery) as processes of this one, by the commands of its units."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_services import Postgres, postgres, redis
from running_dagster import ROOT, DagsterClient, free_port, running

DEPLOY = ROOT / "deploy" / "celery"


@dataclass(frozen=True)
class CeleryStack:
    """What runs.

    Attributes:
        client: Of the operators' web server.
        workers: By name, each the leader of a process group of its own.
        home: DAGSTER_HOME, which no process may write to where it is deployed.
        database: Holds the instance.
        broker: Address of Redis with its password.
        logs: A folder for each process.
    """

    client: DagsterClient
    workers: dict[str, subprocess.Popen[bytes]]
    home: Path
    database: Postgres
    broker: str
    logs: Path

    def kill_worker_of(self, run_id: str) -> str | None:
        """SIGKILL to the worker that has a run, and to all its processes, while the run is under way.

        Returns:
            Name of the worker; None where the run has not started, or has ended before it could be killed.
        """
        started = [
            re.search(r"Started process for run \(pid: (\d+)\)", m) for m in self.client.messages(run_id)
        ]
        pids = [int(found[1]) for found in started if found]
        if not pids:
            return None
        try:
            group = os.getpgid(pids[-1])
            os.killpg(group, signal.SIGSTOP)
        except ProcessLookupError:
            return None
        # Standing still it can no longer end: what the database says now is what it died in.
        status = next(run["status"] for run in self.client.runs() if run["runId"] == run_id)
        if status != "STARTED":
            os.killpg(group, signal.SIGCONT)
            return None
        os.killpg(group, signal.SIGKILL)
        return next(name for name, worker in self.workers.items() if worker.pid == group)

    def runs_of(self, worker: str) -> int:
        """How many runs a worker has taken."""
        return sum(log.read_text().count("Task execute_job") for log in (self.logs / worker).glob("*.log"))


@contextmanager
def celery_stack(
    settings: Path, folder: Path, workers: int, cores: Sequence[int] = ()
) -> Iterator[CeleryStack]:
    """PostgreSQL, Redis, code server, daemon, web server and workers.

    Args:
        settings: Of the deployment.
        folder: Empty; receives instance, secrets and logs.
        workers: How many.
        cores: That the workers are bound to, one each; to any when empty.
    """
    home, logs, secrets = (folder / name for name in ("dagster_home", "logs", "secrets"))
    for path in (home, logs, secrets):
        path.mkdir()
    for name in ("dagster.yaml", "dagster_celery_config.py"):
        shutil.copy(DEPLOY / name, home)
    code_port, web_port = free_port(), free_port()
    workspace = (DEPLOY / "workspace.yaml").read_text().replace("4000", str(code_port))
    (folder / "workspace.yaml").write_text(workspace)
    with ExitStack() as processes:
        database = processes.enter_context(postgres())
        broker = processes.enter_context(redis(folder))
        (secrets / "broker").write_text(broker)
        paths = [str(home), os.environ.get("PYTHONPATH", "")]
        env = _environment() | {
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(database.port),
            "PGPASSFILE": str(database.pgpass(secrets / "pgpass")),
            "AVALANCHE_BROKER_FILE": str(secrets / "broker"),
            "AVALANCHE_SETTINGS": str(settings),
            "AVALANCHE_LOGS": str(logs),
            "AVALANCHE_WEBSERVER": f"127.0.0.1:{web_port}",
            "AVALANCHE_LISTEN": "127.0.0.1",
            "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", ""),
            "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", ""),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        ports = {"4000": str(code_port), "3000": str(web_port)}
        files = {"/etc/avalanche/workspace.yaml": str(folder / "workspace.yaml")}

        def start(unit: str, name: str, *before: str) -> subprocess.Popen[bytes]:
            words = [*before, *(word.replace("%i", name) for word in _command(unit))]
            words = [re.sub(r"\$\{(\w+)\}", lambda found: env[found[1]], word) for word in words]
            words = [(ports | files).get(word, word) for word in words]
            (logs / name).mkdir()
            return processes.enter_context(running(words[0], *words[1:], env=env, logs=logs / name))

        client = DagsterClient(web_port, logs)
        start("avalanche-code", "code")
        check = [
            str(Path(sys.executable).parent / "dagster"),
            "api",
            "grpc-health-check",
            "-p",
            str(code_port),
        ]
        client.wait(
            "code server",
            lambda: subprocess.run(check, env=os.environ | env, capture_output=True).returncode == 0,
            120,
        )
        start("avalanche-daemon", "daemon")
        start("avalanche-webserver", "webserver")
        pool = {}
        for number in range(1, workers + 1):
            bound = (shutil.which("taskset") or "taskset", "-c", str(cores[number - 1])) if cores else ()
            pool[f"worker{number}"] = start("avalanche-worker@", f"worker{number}", *bound)
        client.wait_until_loaded()
        yield CeleryStack(client, pool, home, database, broker, logs)


def _environment() -> dict[str, str]:
    lines = (DEPLOY / "environment.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _command(unit: str) -> list[str]:
    """ExecStart of a unit with the programs of this environment."""
    text = (DEPLOY / "systemd" / f"{unit}.service").read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    line = line.replace("/opt/avalanche/with-broker", str(DEPLOY / "with-broker"))
    line = line.replace("/opt/avalanche/venv/bin", str(Path(sys.executable).parent))
    return line.replace("%H", "localhost").split()
