"""What orchestration costs a date and step: `python -m benchmarks.orchestration`.

The real graph with assets that do nothing (`benchmarks.hollow`) is backfilled by the real daemon with our
dagster.yaml, in several settings, and once by the command line. Wall time is that from the launch to the end
of the last run; CPU seconds are those of all processes of Dagster, start and loading included.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import dagster as dg
from rich.console import Console
from rich.table import Table

from avalanche_assets.automation.due import date_chains, specs_of
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import Acquisition, read_catalogue, season_of, write_catalogue
from avalanche_assets.definitions import build_assets
from avalanche_assets.machine import usable_cores
from avalanche_assets.settings import load_settings
from avalanche_assets_tests.minimal_settings import ARCHIVE, minimal_settings
from avalanche_assets_tests.running_dagster import DagsterClient, environment, free_port, running
from benchmarks.hollow import POLICY, SENSOR

ROOT = Path(__file__).resolve().parents[1]
ASKED_S = 2.0
WORKSPACE = """
load_from:
  - python_module: {module_name: benchmarks.hollow, location_name: avalanche_assets}
"""
COMMAND_LINE = """
import sys
from pathlib import Path
import dagster as dg
from avalanche_assets.automation import runner
from benchmarks.hollow import build
runner.build_definitions = build
runner._require_same_data_root = lambda settings, instance: None
with dg.DagsterInstance.get() as instance:
    report = runner.materialise_missing(Path(sys.argv[1]), instance, lambda line: None)
assert not report.failures, report.failures
"""


@dataclass(frozen=True)
class Way:
    """One way to run the same backfill."""

    text: str
    slots: int = 2
    single_run: bool = False


@dataclass(frozen=True)
class Cost:
    """What it took."""

    runs: int
    steps: int
    wall_s: float
    cpu_s: float


WAYS = (
    Way("daemon, one run a date, 2 runs at once"),
    Way("daemon, one run a date, 4 runs at once", slots=4),
    Way("daemon, single run for all dates", single_run=True),
)


class Deployment:
    """Settings, catalogue and instance in a scratch folder."""

    def __init__(self, dates: int, slots: int) -> None:
        self.folder = Path(mkdtemp(prefix="orchestration-"))
        self.settings_file = self.folder / "avalanche.toml"
        self.season = season_of(datetime.now(UTC).date())
        self.settings_file.write_text(minimal_settings(ARCHIVE, f'[learning]\nseason = "{self.season}"\n'))
        (self.folder / "workspace.yaml").write_text(WORKSPACE)
        self.home = self.folder / "home"
        (self.home / ".nux").mkdir(parents=True)
        (self.home / ".nux" / "nux.yaml").write_text("seen: 1\n")
        text = (ROOT / "deploy" / "local" / "dagster.yaml").read_text()
        slotted = re.sub(r"max_concurrent_runs: \d+", f"max_concurrent_runs: {slots}", text)
        (self.home / "dagster.yaml").write_text(slotted)
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        first = date(int(self.season[:4]), 8, 14)
        self.references = [first + timedelta(days=6 * number) for number in range(max(dates // 3, 1))]
        self.winter = [first + timedelta(days=84 + 6 * number) for number in range(dates)]
        found = [self._acquisition(day, "reference") for day in self.references]
        found += [self._acquisition(day, "winter") for day in self.winter]
        write_catalogue(load_settings(self.settings_file).layout.acquisition_catalogue, found)

    def _acquisition(self, day: date, role: str) -> Acquisition:
        overpass = datetime(day.year, day.month, day.day, 5, 43, tzinfo=UTC)
        return Acquisition(day, overpass, "S1A", 1, role, self.season, "complete", (f"S1A_{day}",), "", "1")


def backfilled(way: Way, dates: int) -> Cost:
    """One backfill of all dates and assets by the daemon."""
    deployment = Deployment(dates, way.slots)
    env = {POLICY: "single_run" if way.single_run else ""}
    before = _cpu_of_children()
    with _dagster(deployment, env) as client:
        assets = sorted(client.asset_names() - {"acquisition", "acquisition_catalogue"})
        launched = time.time()
        backfill = client.backfill_everything(assets)
        status = client.wait_for_backfill(backfill, 3600)
        runs = client.runs(backfill=backfill)
    assert status == "COMPLETED_SUCCESS", status
    ended = max(run["endTime"] for run in runs)
    cost = Cost(len(runs), _steps(deployment), ended - launched, _cpu_of_children() - before)
    shutil.rmtree(deployment.folder)
    return cost


def by_sensor(dates: int) -> Cost:
    """What `process_new_dates` launches: the runs alone, without its waiting between dates."""
    deployment = Deployment(dates, 2)
    before = _cpu_of_children()
    with _dagster(deployment, {SENSOR: "on"}) as client:
        fixed = client.asset_names() - {"acquisition", "acquisition_catalogue", *_dated(deployment)}
        ground = client.backfill_everything(sorted(fixed))
        client.wait_for_backfill(ground, 600)
        wanted = dates + len(deployment.references)
        tags = {"avalanche/started_by": "process_new_dates"}

        def done() -> list[dict]:
            runs = [run for run in client.runs() if run["tags"].items() >= tags.items()]
            ended = [
                run
                for run in runs
                if run["status"] == "SUCCESS" and run["tags"]["partition"] != deployment.season
            ]
            return ended if len(ended) == wanted else []

        runs = client.wait("runs of all dates", done, 120 * wanted)
    wall = sum(run["endTime"] - run["startTime"] for run in runs)
    steps = sum(len(run["assets"]) for run in runs)
    shutil.rmtree(deployment.folder)
    return Cost(len(runs), steps, wall, _cpu_of_children() - before)


def by_command_line(dates: int) -> Cost:
    """`avalanche run`."""
    deployment = Deployment(dates, 2)
    before, started = _cpu_of_children(), time.time()
    subprocess.run(
        [sys.executable, "-c", COMMAND_LINE, deployment.settings_file],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(deployment.home)},
        check=True,
        capture_output=True,
    )
    cost = Cost(0, _steps(deployment), time.time() - started, _cpu_of_children() - before)
    shutil.rmtree(deployment.folder)
    return cost


@contextmanager
def _dagster(deployment: Deployment, env: dict[str, str]) -> Iterator[DagsterClient]:
    port = free_port()
    workspace = str(deployment.folder / "workspace.yaml")
    variables = {**environment(deployment.home, deployment.settings_file, port), **env}
    arguments = ("dev", "-w", workspace, "-h", "127.0.0.1", "-p", str(port))
    with running("dagster", *arguments, env=variables, logs=deployment.logs):
        client = DagsterClient(port, deployment.logs)
        client.wait_until_loaded()
        yield client


def _dated(deployment: Deployment) -> set[str]:
    """Names of what is made of dates, and of the season's report, which follows them."""
    settings = load_settings(deployment.settings_file)
    partitions = Partitions(read_catalogue(settings.layout.acquisition_catalogue), settings)
    chains = date_chains(specs_of(build_assets(settings)), partitions, deployment.season)
    return {step.asset for chain in chains for step in chain.steps} | {"season_report"}


def _steps(deployment: Deployment) -> int:
    """Partitions of assets that were made."""
    with dg.DagsterInstance.from_config(str(deployment.home)) as instance:
        keys = [key for key in instance.get_asset_keys() if instance.get_latest_materialization_event(key)]
        return sum(max(len(instance.get_materialized_partitions(key)), 1) for key in keys)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestration", description=__doc__)
    parser.add_argument(
        "--dates",
        type=int,
        default=30,
        help="winter dates; a third as many of the reference come with them, at least one",
    )
    options = parser.parse_args()
    table = Table("way", "runs", "steps", "wall s", "wall s a step", "CPU s a step", f"at most {ASKED_S:g} s")
    measured = [(way.text, backfilled(way, options.dates)) for way in WAYS]
    measured.append(("sensor, one run a date with all steps", by_sensor(min(options.dates, 4))))
    measured.append(("command line, one process", by_command_line(options.dates)))
    for text, cost in measured:
        a_step = cost.wall_s / cost.steps
        table.add_row(
            text,
            str(cost.runs or "-"),
            str(cost.steps),
            f"{cost.wall_s:.0f}",
            f"{a_step:.2f}",
            f"{cost.cpu_s / cost.steps:.2f}",
            "yes" if a_step <= ASKED_S else "NO",
        )
    console = Console(width=130)
    console.print(
        f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f}; {options.dates} winter dates, hollow assets"
    )
    console.print(table)


if __name__ == "__main__":
    main()
