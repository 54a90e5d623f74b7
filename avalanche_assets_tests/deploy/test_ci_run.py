"""Continuous integration installs what tests in a browser need, or says that they did not run."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "dirname", "env", "touch", "chmod")
INSTALLED = """#!/bin/bash
echo "$@" >> "$0.log"
[ "$1" = install ] || exit 0
[ "$5" != redis-server ] || exit 100
touch "${0%/*}/$5"
chmod +x "${0%/*}/$5"
"""


@pytest.fixture
def machine(tmp_path):
    """A PATH with a few tools, a package manager without Redis, and a `make` that does nothing."""
    for name in TOOLS:
        (tmp_path / name).symlink_to(shutil.which(name))
    stubs = {"id": "#!/bin/bash\necho 0\n", "make": '#!/bin/bash\necho "make $*"\n', "apt-get": INSTALLED}
    for name, text in stubs.items():
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def run(machine):
    command = [str(ROOT / ".ci" / "run")]
    done = subprocess.run(command, env={"PATH": str(machine)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "make test" in done.stdout
    return done


def test_chromium_is_installed_before_the_tests_whatever_else_fails(machine):
    done = run(machine)
    assert "Installed: chromium" in done.stdout.split("make test")[0]
    assert (machine / "chromium").exists()
    assert "Could not be installed: redis-server" in done.stderr
    assert "NOT TESTED: what needs chromium" not in done.stderr


def test_where_nothing_can_be_installed_it_says_what_was_not_tested(machine):
    (machine / "apt-get").unlink()
    done = run(machine)
    # Before the tests and after them, where people look.
    assert done.stderr.count("NOT TESTED: what needs chromium") == 2
