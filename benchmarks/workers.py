"""One worker against two, each with a core of its own: `python -m benchmarks.workers`.

A simulated season is backfilled by Celery workers as deployed (deploy/celery), date by date: full-swath
sigma0. Database, queue, code server, daemon and web server run beside them on the same cores. Wall time is
that from the start of the first run to the end of the last; each run starts a process and loads the
definitions, as in operation.
"""

import argparse
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.files import sha256
from avalanche_assets.machine import usable_cores
from avalanche_assets.settings import load_settings
from avalanche_assets.simulation.season import simulate_season
from avalanche_assets_tests.celery_stack import CeleryStack, celery_stack
from avalanche_assets_tests.running_dagster import DagsterClient

ASKED = 1.7
GROUND = ["dem", "slope_aspect", "track_geometry", "corridors"]


@dataclass(frozen=True)
class Measured:
    """What so many workers took.

    Attributes:
        workers: How many.
        dates: Made by them.
        wall_s: From the first start to the last end.
        run_s: Of the median run.
        outputs: SHA-256 of each date's sigma0.
    """

    workers: int
    dates: int
    wall_s: float
    run_s: float
    outputs: dict[str, str]


def measure(source: Path, workers: int) -> Measured:
    """Makes every date of a copy of the season with so many workers."""
    folder = Path(tempfile.mkdtemp(prefix="workers-"))
    season, stack_folder = folder / "season", folder / "stack"
    shutil.copytree(source, season)
    stack_folder.mkdir()
    settings = season / "avalanche.toml"
    cores = sorted(os.sched_getaffinity(0))[:workers]
    with celery_stack(settings, stack_folder, workers, cores) as stack:
        dates = _prepared(stack, load_settings(settings).layout.acquisition_catalogue)
        runs = _made(stack.client, "compute_sigma0", dates)
    layout = load_settings(settings).layout
    outputs = {day: sha256(layout.sigma0(day)) for day in dates}
    shutil.rmtree(folder)
    lengths = sorted(run["endTime"] - run["startTime"] for run in runs)
    wall = max(run["endTime"] for run in runs) - min(run["startTime"] for run in runs)
    return Measured(workers, len(dates), wall, lengths[len(lengths) // 2], outputs)


def _prepared(stack: CeleryStack, catalogue: Path) -> list[str]:
    """Everything that the dates share, and their products: not part of what is measured."""
    client = stack.client
    assert client.wait_for_run(client.materialise("acquisition_catalogue")) == "SUCCESS"
    dates = read_catalogue(catalogue).dates()
    client.wait("partitions", lambda: client.partitions("sigma0") == dates, 60)
    _made(client, "fetch_products", dates)
    assert client.wait_for_run(client.materialise(*GROUND), 900) == "SUCCESS"
    return dates


def _made(client: DagsterClient, job: str, dates: list[str]) -> list[dict]:
    """The runs of a stage's job, one a date."""
    runs = client.wait_for_runs(client.backfill_job(job, dates), 3600)
    assert {run["status"] for run in runs} == {"SUCCESS"}, runs
    assert len(runs) == len(dates), runs
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--size", default="demo", help="of the simulated season")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="season-"))
    settings = simulate_season(folder / "season", options.size, progress=lambda line: None)
    settings.write_text(settings.read_text() + "\n[backscatter]\nfull_swath = true\n")
    shutil.rmtree(folder / "season" / "truth")
    one, two = (measure(folder / "season", workers) for workers in (1, 2))
    shutil.rmtree(folder)
    assert one.outputs == two.outputs
    ratio = one.wall_s / two.wall_s
    table = Table("workers, a core each", "dates", "wall s", "median run s", "dates an hour")
    for result in (one, two):
        an_hour = 3600 * result.dates / result.wall_s
        table.add_row(
            str(result.workers),
            str(result.dates),
            f"{result.wall_s:.0f}",
            f"{result.run_s:.1f}",
            f"{an_hour:.0f}",
        )
    console = Console(width=110)
    console.print(
        f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f}; season {options.size!r}, simulated"
    )
    console.print(table)
    told = "met" if ratio >= ASKED else "NOT met"
    console.print(f"two workers against one: {ratio:.2f} x, asked {ASKED} x: {told}; outputs identical")


if __name__ == "__main__":
    main()
