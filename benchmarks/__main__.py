"""Runs every benchmark and prints one table of ratios: `make bench`.

Each claim is set against a peer or against reading the files, in the same run: the two are measured in turn,
each time in a fresh process, and the ratio is that of the medians.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from avalanche_assets.machine import usable_cores
from benchmarks import learning, patches, scene

GB = 1e9


@dataclass(frozen=True)
class Result:
    """Medians of several runs of one task."""

    wall: float
    cpu: float
    peak_gb: float
    pixels: int
    rest: float

    @property
    def speed(self) -> float:
        """Pixels per CPU second."""
        return self.pixels / max(self.cpu, 1e-9)


@dataclass(frozen=True)
class Claim:
    """One line of the table: `ours` over `peer`.

    `by` is "wall" (time), "pixels" (a CPU second, each polarisation counts) or "cells" (a CPU second, where
    ours has two polarisations in each). A target of 0 asks for nothing.
    """

    text: str
    ours: str
    peer: str
    scene: str
    target: float
    by: str
    peak_gb: float | None = None


Runs = dict[tuple[str, str], tuple[Result | None, Result | None]]
"""What was measured already, by the two tasks."""

CLAIMS = [
    Claim(
        "terrain and product to file, 2 pol, noise removed, vs sarsen GTC, 1 pol",
        "geocode",
        "sarsen_gtc",
        "single",
        100,
        "pixels",
    ),
    Claim("... the same, each cell counted once", "geocode", "sarsen_gtc", "single", 0, "cells"),
    Claim(
        "projection and sampling alone, 2 pol, vs eos-sar's",
        "sampling",
        "eos_sar_ortho",
        "single",
        10,
        "pixels",
    ),
    Claim("... vs GDAL warp by control points (no relief)", "geocode", "gcp_warp", "single", 0, "pixels"),
    Claim(
        "calibration without noise removal vs xarray-sentinel",
        "calibrate_window",
        "xarray_sentinel_window",
        "single",
        1,
        "pixels",
    ),
    Claim("... vs eos-sar", "calibrate_window", "eos_sar_window", "single", 1, "pixels"),
    Claim(
        "calibration with noise removal of a raster vs reading it",
        "calibrate",
        "read_one",
        "single",
        1.3,
        "wall",
        0.5,
    ),
    Claim("... vs direct reading", "calibrate", "read_one_direct", "single", 0, "wall"),
    Claim(
        "acquisition on 3,000 corridors vs reading its rasters",
        "corridors",
        "read",
        "acquisition",
        2,
        "wall",
        3,
    ),
    Claim("... vs direct reading", "corridors", "read_direct", "acquisition", 0, "wall"),
    Claim(
        "acquisition on the full swath vs reading its rasters", "swath", "read", "acquisition", 8, "wall", 4
    ),
    Claim("... vs direct reading", "swath", "read_direct", "acquisition", 0, "wall"),
    Claim("download of 500 MB from this machine vs curl", "download", "curl", "single", 1.25, "wall"),
    Claim("... with MD5, vs curl, which has none", "download_md5", "curl", "single", 0, "wall"),
    Claim("... with MD5, vs curl and then md5sum", "download_md5", "curl_md5sum", "single", 1, "wall"),
    Claim(
        "100,000 events checked vs reading them with pandas", "events", "events_pandas", "single", 0, "wall"
    ),
    Claim(
        "slope and aspect of 5000 x 5000 cells vs gdaldem",
        "slope_aspect",
        "gdaldem",
        "single",
        0.66,
        "wall",
        1,
    ),
    Claim(
        "training from tables vs from memory (0.9 x its images/s)",
        "train_stream",
        "train_memory",
        "single",
        1 / 0.9,
        "wall",
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scale", choices=["full", "small"], default="full")
    parser.add_argument("--folder", type=Path, default=Path(".bench"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--km", type=int, default=20, help="side of the area geocoded beside the peers")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.scale == "small":
        small = scene.simulated(options.folder)
        scenes = {"single": small.first(), "acquisition": small}
    else:
        scenes = {
            "single": scene.single(options.folder, options.km),
            "acquisition": scene.acquisition(options.folder),
        }
    for name, used in scenes.items():
        used.to_json(options.folder / f"{name}.json")
    console = Console(width=150)
    console.print(
        f"{_machine()}; files in the page cache; median of {options.repeat} runs, ours and peer in turn"
    )
    for name, used in scenes.items():
        on_image, corridors = used.corridors_on_image()
        console.print(f"{name}: {used.described}; {on_image:,} of {corridors:,} corridors on the image")
    table = Table("claim", "data", "ours", "peer", "ratio", "asked", "met", "peak GB")
    runs: Runs = {}
    for claim in CLAIMS:
        file = options.folder / f"{claim.scene}.json"
        # What is asked is asked of products of full size.
        asked = claim if options.scale == "full" else replace(claim, target=0, peak_gb=None)
        table.add_row(*_row(asked, file, options.repeat, runs))
    console.print(table)
    console.print(
        "Ours works on all cores, reading and the peers on one: times need as many free cores as the machine "
        "has; CPU seconds hold on a busy one too. After the plus: picture and checksum of the file, which "
        "count to the peak of memory, not to the ratio."
    )
    for line in patches.report(lambda task: _measure(task, options.folder / "single.json")):
        console.print(line)
    full = options.scale == "full"
    for line in learning.report(lambda task: _measure(task, options.folder / "single.json"), full):
        console.print(line)
    geometry = _measure("track_geometry", options.folder / "acquisition.json")
    if geometry:
        cells = geometry.pixels / 1e6
        met = f"; asked 600 s: {'yes' if geometry.wall <= 600 else 'NO'}" if options.scale == "full" else ""
        console.print(
            f"static geometry of the whole track, {cells:.0f} M cells, once: {geometry.wall:.0f} s wall, "
            f"{geometry.cpu:.0f} s CPU, {geometry.peak_gb:.1f} GB{met}"
        )
    if options.scale == "small":
        return
    with tempfile.TemporaryDirectory() as empty:
        compiled = _measure("compile_all", options.folder / "single.json", {"NUMBA_CACHE_DIR": empty})
        cached = _measure("compile_all", options.folder / "single.json")
    if compiled and cached:
        console.print(f"first use ever (compilation): {compiled.wall:.0f} s; later: {cached.wall:.1f} s")


def _row(claim: Claim, file: Path, repeat: int, runs: Runs) -> list[str]:
    if (claim.ours, claim.peer) not in runs:
        pairs = [(_measure(claim.ours, file), _measure(claim.peer, file)) for _ in range(repeat)]
        runs[claim.ours, claim.peer] = _median([p[0] for p in pairs]), _median([p[1] for p in pairs])
    ours, peer = runs[claim.ours, claim.peer]
    if ours is None:
        raise SystemExit(f"{claim.ours}: could not be measured")
    if peer is None:
        return [claim.text, claim.scene, "", "", "not measured", "", "", ""]
    if claim.by != "wall":
        speed = ours.speed / (2 if claim.by == "cells" else 1)
        ratio = speed / peer.speed
        figures = [f"{speed / 1e6:.2f} M/CPU s", f"{peer.speed / 1e6:.3f} M/CPU s", f"{ratio:.1f} x"]
        asked, met = f">= {claim.target:g} x", ratio >= claim.target
    else:
        ratio = ours.wall / peer.wall
        after = f" + {ours.rest:.1f} s" if ours.rest > 0.05 else ""
        figures = [
            f"{ours.wall:.2f} s ({ours.cpu:.1f} CPU){after}",
            f"{peer.wall:.2f} s ({peer.cpu:.1f} CPU)",
            f"{ratio:.2f} x",
        ]
        asked, met = f"<= {claim.target:.3g} x", ratio <= claim.target
    if claim.peak_gb is not None:
        met = met and ours.peak_gb <= claim.peak_gb
        asked += f", <= {claim.peak_gb:g} GB"
    answer = ("yes" if met else "NO") if claim.target else ""
    return [
        claim.text,
        claim.scene,
        *figures,
        asked if claim.target else "",
        answer,
        f"{ours.peak_gb:.2f}",
    ]


def _measure(task: str, file: Path, environment: dict[str, str] | None = None) -> Result | None:
    """Runs a task in a process of its own; None when its package is not installed or cannot read the data."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.tasks", task, str(file)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        print(f"{task}: failed with {run.stderr.splitlines()[-1]}", file=sys.stderr)
        return None
    answer = json.loads(run.stdout.splitlines()[-1])
    if "missing" in answer:
        print(
            f"{task}: {answer['missing']} is not installed; make bench installs Python packages",
            file=sys.stderr,
        )
        return None
    return Result(**answer)


def _median(runs: list[Result | None]) -> Result | None:
    known = [run for run in runs if run is not None]
    if not known:
        return None
    return Result(
        statistics.median(run.wall for run in known),
        statistics.median(run.cpu for run in known),
        max(run.peak_gb for run in known),
        known[0].pixels,
        statistics.median(run.rest for run in known),
    )


def _machine() -> str:
    cores = usable_cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    return f"{platform.processor() or platform.machine()}, {cores} cores, {memory:.0f} GB"


if __name__ == "__main__":
    main()
