"""The plan for N machines is arithmetic that can be followed, and its page is what the command prints."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def printed(*options):
    command = [sys.executable, "-m", "benchmarks.plan", *options]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def test_page_has_the_tables_that_the_command_prints():
    page = (ROOT / "docs" / "scale.md").read_text()
    assert printed() in page
    assert printed("--archive-mb-s", "400").split("\n\n")[1] in page


def test_twice_the_workers_halve_the_computing_until_the_archive_is_full():
    options = [
        "--winters",
        "1",
        "--dates",
        "50",
        "--products-gb",
        "3.6",
        "--archive-mb-s",
        "100",
        "--workers",
        "1",
        "2",
        "8",
    ]
    seconds = {"--start-s": 0, "--sigma0-s": 90, "--patches-s": 0, "--scores-s": 0, "--orchestration-s": 0}
    options += [str(word) for item in seconds.items() for word in item]
    header, *rows = printed(*options).splitlines()
    # 16 tracks of 50 dates: 800 x 90 s are 20 hours of a core; 800 x 3.6 GB at 0.1 GB/s are 8 hours.
    assert header.startswith(
        "16 tracks, 1 winters, 50 dates: 800 dates; 90 core seconds a date, 20 core hours"
    )
    cells = [[cell.strip() for cell in row.split("|")[1:5]] for row in rows[3:]]
    assert cells == [["1", "20.0", "8", "20"], ["2", "10.0", "8", "10"], ["8", "2.5", "8", "8"]]
