"""The benchmarks run, on the smallest simulated products; nothing is asserted about time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def test_every_claim_is_measured_and_printed(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--scale", "small", "--repeat", "1", "--folder", tmp_path],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "metadata and pixels simulated" in " ".join(run.stdout.split())
    # Reading, the warp and xarray-sentinel are always there; other peers may not be installed.
    ratios = re.findall(r"\d+\.\d+ x", run.stdout)
    assert len(ratios) >= 5, run.stdout
    assert "static geometry of the whole track" in run.stdout
