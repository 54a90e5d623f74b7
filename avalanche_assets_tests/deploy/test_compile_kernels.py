"""The image's cache of compiled code holds what processing an acquisition compiles."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = {
    "block_model._extremes",
    "flattening._accumulate",
    "flattening._factor",
    "geocoding._geodetic_to_ecef",
    "geocoding._zero_doppler",
    "ground_range._to_sample",
    "image._calibrate",
    "range_sweep._sweep",
    "raster_summary._add",
    "sampling.sample_blocks",
    "track_geometry._angles",
}
"""Functions of the processing that Python calls; what they call is compiled into them."""


@pytest.mark.integration
def test_every_kernel_of_processing_is_compiled(tmp_path):
    subprocess.run(
        [sys.executable, ROOT / "deploy/compile_kernels.py"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    compiled = {file.name.rsplit("-", 1)[0] for file in tmp_path.rglob("*.nbc")}
    assert compiled >= KERNELS
