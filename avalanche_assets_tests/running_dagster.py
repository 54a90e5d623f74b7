"""Dagster as an operator runs it, for tests: its processes, its GraphQL interface, waiting for it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCATION = "avalanche_assets"
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
BACKFILL_ENDED = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def local_home(folder: Path) -> Path:
    """A DAGSTER_HOME with the instance file of one machine, past the UI's welcome dialog."""
    (folder / ".nux").mkdir(parents=True)
    (folder / ".nux" / "nux.yaml").write_text("seen: 1\n")
    shutil.copy(ROOT / "deploy" / "local" / "dagster.yaml", folder)
    return folder


@contextmanager
def running(
    name: str, *arguments: str, env: Mapping[str, str], logs: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of this environment (or any, by its path) in a process group, ended with all its children.

    Dagster takes SIGTERM for SIGINT, which a background process inherits as ignored: both are given back
    their default action before the program starts.
    """
    with (logs / f"{Path(name).name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / name), *arguments],
            cwd=ROOT,
            env={**os.environ, **env},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks the group to end, then makes it."""
    for sign, patience in ((signal.SIGINT, 20.0), (signal.SIGKILL, 5.0)):
        until = time.monotonic() + patience
        try:
            os.killpg(process.pid, sign)
            while time.monotonic() < until:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.2)
        except ProcessLookupError:
            return


@dataclass(frozen=True)
class DagsterClient:
    """The GraphQL questions that an operator's clicks ask.

    Attributes:
        port: Of the web server on this host.
        logs: Folder of the processes' output, quoted when something takes too long.
    """

    port: int
    logs: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": text, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode(errors="replace")[:3000])
            raise
        assert "errors" not in content, content["errors"]
        return content["data"]

    def wait(self, what: str, condition: Callable[[], Any], seconds: float) -> Any:
        """The first true value of `condition`, asked twice a second; no server counts as false."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                value = condition()
            except (urllib.error.URLError, ConnectionError):
                value = None
            if value:
                return value
            time.sleep(0.5)
        tails = "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self.logs.rglob("*.log"))
        raise AssertionError(f"{what}: not within {seconds:.0f} s\n{tails}")

    def wait_until_loaded(self) -> None:
        self.wait("code location with assets", self.asset_names, 120)

    def load_error(self) -> str | None:
        """What stopped the code location from loading."""
        entries = self.query(
            """{ workspaceOrError { ... on Workspace { locationEntries {
                   locationOrLoadError { ... on PythonError { message } } } } } }"""
        )["workspaceOrError"]["locationEntries"]
        return entries[0]["locationOrLoadError"].get("message")

    def asset_names(self) -> set[str]:
        nodes = self.query("{ assetNodes { assetKey { path } } }")["assetNodes"]
        return {node["assetKey"]["path"][-1] for node in nodes}

    def partitions(self, asset: str) -> list[str]:
        return self.query(
            """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
                 ... on AssetNode { partitionKeys } } }""",
            key={"path": [asset]},
        )["assetNodeOrError"]["partitionKeys"]

    def materialise(self, *assets: str) -> str:
        """Launches a run of unpartitioned assets as the button in the UI does; returns its id."""
        selector = {
            **REPOSITORY,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]} for asset in assets],
        }
        return self.query(
            """mutation($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            parameters={"selector": selector, "mode": "default", "runConfigData": "{}"},
        )["launchRun"]["run"]["runId"]

    def wait_for_run(self, run_id: str, seconds: float = 240) -> str:
        def status() -> str | None:
            run = self.query(
                "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id
            )["runOrError"]
            return run["status"] if run["status"] in ENDED else None

        return self.wait(f"end of run {run_id}", status, seconds)

    def messages(self, run_id: str) -> list[str]:
        """What the log of a run says."""
        answer = self.query(
            """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
                 ... on MessageEvent { message } } } } }""",
            id=run_id,
        )
        return [event["message"] for event in answer["logsForRun"]["events"]]

    def backfill_assets(self, assets: Sequence[str], dates: Sequence[str]) -> str:
        """Launches an asset backfill; returns its id."""
        return self._backfill(
            {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": list(dates)}
        )

    def backfill_everything(self, assets: Sequence[str]) -> str:
        """Launches a backfill of all partitions of assets, as *Materialize all* does; returns its id."""
        return self._backfill(
            {"assetSelection": [{"path": [asset]} for asset in assets], "allPartitions": True}
        )

    def backfill_job(self, job: str, dates: Sequence[str]) -> str:
        """Launches a backfill of a job; returns its id."""
        selector = {"repositorySelector": REPOSITORY, "partitionSetName": f"{job}_partition_set"}
        return self._backfill({"selector": selector, "partitionNames": list(dates)})

    def _backfill(self, parameters: dict[str, Any]) -> str:
        answer = self.query(
            """mutation($parameters: LaunchBackfillParams!) {
                 launchPartitionBackfill(backfillParams: $parameters) {
                   __typename
                   ... on LaunchBackfillSuccess { backfillId }
                   ... on PythonError { message }
                   ... on PartitionSetNotFoundError { message }
                   ... on PartitionKeysNotFoundError { message } } }""",
            parameters=parameters,
        )["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def wait_for_backfill(self, backfill_id: str, seconds: float) -> str:
        def status() -> str | None:
            backfill = self.query(
                """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
                     ... on PartitionBackfill { status } } }""",
                id=backfill_id,
            )["partitionBackfillOrError"]
            return backfill["status"] if backfill["status"] in BACKFILL_ENDED else None

        return self.wait(f"end of backfill {backfill_id}", status, seconds)

    def wait_for_runs(self, backfill_id: str, seconds: float) -> list[dict[str, Any]]:
        """The ended runs of a backfill of one phase; the backfill itself ends up to 30 s after them."""

        def ended() -> list[dict[str, Any]]:
            runs = self.runs(backfill=backfill_id)
            return runs if all(run["status"] in ENDED for run in runs) else []

        return self.wait(f"runs of backfill {backfill_id}", ended, seconds)

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Runs with these tags: id, status, times, their assets and their tags."""
        runs = self.query(
            """query($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}) { ... on Runs { results {
                 runId status startTime endTime assetSelection { path } tags { key value } } } } }""",
            tags=[{"key": f"dagster/{key}", "value": value} for key, value in tags.items()],
        )["runsOrError"]["results"]
        return [
            run
            | {
                "assets": {key["path"][-1] for key in run["assetSelection"] or []},
                "tags": {tag["key"].removeprefix("dagster/"): tag["value"] for tag in run["tags"]},
            }
            for run in runs
        ]


def environment(home: Path, settings: Path, port: int) -> dict[str, str]:
    """What an operator sets before starting Dagster; the web server listens on `port`."""
    return {
        "DAGSTER_HOME": str(home),
        "AVALANCHE_SETTINGS": str(settings),
        "AVALANCHE_WEBSERVER": f"127.0.0.1:{port}",
    }


@contextmanager
def dagster_dev(home: Path, settings: Path, logs: Path) -> Iterator[DagsterClient]:
    """`dagster dev` as `make ui` starts it: web server, daemon and code location."""
    with _serving("dagster", "dev", home=home, settings=settings, logs=logs) as client:
        yield client


@contextmanager
def dagster_webserver(home: Path, settings: Path, logs: Path) -> Iterator[DagsterClient]:
    """The web server alone, for looking: nothing can be launched."""
    with _serving("dagster-webserver", "--read-only", home=home, settings=settings, logs=logs) as client:
        yield client


@contextmanager
def _serving(name: str, argument: str, home: Path, settings: Path, logs: Path) -> Iterator[DagsterClient]:
    port = free_port()
    arguments = (argument, "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port))
    with running(name, *arguments, env=environment(home, settings, port), logs=logs):
        client = DagsterClient(port, logs)
        client.wait_until_loaded()
        yield client
