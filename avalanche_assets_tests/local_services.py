"""PostgreSQL, Redis and nginx of this machine, each started for one test on a port of its own."""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from running_dagster import free_port

POSTGRES_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
)
"""Debian keeps the server's programs beside the path."""


def program(name: str, package: str) -> str:
    """Path of a program; the test is skipped where it is not installed."""
    found = shutil.which(name, path=f"{POSTGRES_PATH}:/usr/sbin")
    if not found:
        pytest.skip(f"{name} is not installed (apt-get install {package})")
    return found


@dataclass(frozen=True)
class Postgres:
    """A running database server; the owner of everything is `user`.

    Attributes:
        port: On 127.0.0.1.
        user: Superuser, who needs `password`.
        password: Of the user.
        folder: Of the server, below which it keeps its data.
    """

    port: int
    user: str
    password: str
    folder: Path

    def run(self, name: str, *arguments: str) -> str:
        """Runs one of PostgreSQL's programs as the superuser; what it says."""
        env = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }
        command = [program(name, "postgresql"), *arguments]
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        return done.stdout

    def pgpass(self, path: Path) -> Path:
        """Writes the password file of libpq."""
        path.touch(0o600)
        path.write_text(f"*:*:*:{self.user}:{self.password}\n")
        return path


@contextmanager
def postgres(user: str = "dagster", password: str = "not-a-secret") -> Iterator[Postgres]:
    """A PostgreSQL server with an empty database `dagster`."""
    initdb, server = program("initdb", "postgresql"), program("postgres", "postgresql")
    # The server refuses to run as root, and its user has to reach its folder.
    account = "postgres" if os.geteuid() == 0 else getpass.getuser()
    folder = Path(tempfile.mkdtemp(prefix="avalanche-postgres-"))
    try:
        (folder / "password").write_text(password)
        shutil.chown(folder / "password", account)
        shutil.chown(folder, account)
        data, port = folder / "data", free_port()
        subprocess.run(
            [initdb, "-D", data, "-U", user, "-A", "scram-sha-256", f"--pwfile={folder}/password", "-N"],
            user=account,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
        # What a test loses in a power cut is no loss.
        options += ["fsync=off", "max_connections=200"]
        command = [server, "-D", str(data), *(word for option in options for word in ("-c", option))]
        with _serving(command, folder / "log", account, signal.SIGINT):
            database = Postgres(port, user, password, folder)
            until("PostgreSQL", lambda: _ready(database), 30)
            database.run("createdb", "dagster")
            yield database
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ready(database: Postgres) -> bool:
    command = [program("pg_isready", "postgresql"), "-h", "127.0.0.1", "-p", str(database.port)]
    return subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def redis(folder: Path, password: str = "not-a-secret") -> Iterator[str]:
    """A Redis server that keeps nothing; its URL with the password in it."""
    port = free_port()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "requirepass": password,
        "save": "",
        "dir": str(folder),
    }
    command = [program("redis-server", "redis-server")]
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    with _serving(command, folder / "redis.log", None, signal.SIGTERM):
        import redis as client

        until("Redis", lambda: _pings(client, url), 20)
        yield url


def _pings(client: object, url: str) -> bool:
    try:
        return bool(client.Redis.from_url(url).ping())  # type: ignore[attr-defined]
    except Exception:
        return False


@contextmanager
def nginx(configuration: str, folder: Path, port: int) -> Iterator[None]:
    """nginx with this configuration; what it would write to /tmp and to its output goes to `folder`."""
    text = re.sub(r"(?m)^( *(?:pid|\w+_temp_path) )/tmp/", rf"\g<1>{folder}/", configuration)
    text = text.replace("/dev/stdout", f"{folder}/access.log")
    # Started by root it would become another user, who cannot read the test's files.
    (folder / "nginx.conf").write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
    command = [
        program("nginx", "nginx"),
        "-e",
        "stderr",
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        "daemon off;",
    ]
    with _serving(command, folder / "nginx.log", None, signal.SIGTERM):
        until("nginx", lambda: _listens(port), 10)
        yield


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _serving(command: Sequence[str], log: Path, account: str | None, stop: signal.Signals) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, user=account, start_new_session=True
        )
    try:
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not ready within {seconds:.0f} s"
        time.sleep(0.1)
