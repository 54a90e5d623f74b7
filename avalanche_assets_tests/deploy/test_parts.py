"""Which third-party parts there are: all pinned, installed as pinned, and listed in a bill of materials."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("deploy", "dev", "s3")
PACKAGE = "avalanche-assets"


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def needed():
    """Every package that the image and the tests are made of, as their metadata tell."""
    waiting = [(PACKAGE, EXTRAS)]
    found = set()
    while waiting:
        name, extras = waiting.pop()
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            wanted = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")
            )
            entry = canonicalize_name(requirement.name), tuple(sorted(requirement.extras))
            if wanted and entry not in found:
                found.add(entry)
                waiting.append(entry)
    # pip comes with Python's virtual environments.
    return {name for name, _ in found} - {PACKAGE, "pip"}


def public(version):
    """Without what an index adds to say how it was built, such as torch's ``+cpu``."""
    return version.split("+")[0] if version else version


@pytest.fixture(scope="module")
def parts():
    declared = set(metadata.metadata(PACKAGE).get_all("Provides-Extra") or [])
    if not set(EXTRAS) <= declared:
        pytest.skip("the installed package is of an older pyproject.toml; make install")
    return needed()


def test_every_part_is_pinned(parts):
    assert sorted(parts - set(pinned())) == []


def test_every_part_is_installed_as_it_is_pinned(parts):
    pins = pinned()
    installed = {name: public(metadata.version(name)) for name in parts}
    assert installed == {name: pins[name] for name in parts}


@pytest.mark.integration
def test_bill_of_materials_lists_every_part_with_its_version(parts, tmp_path):
    makefile = (ROOT / "Makefile").read_text()
    (line,) = [line for line in makefile.splitlines() if "cyclonedx-py" in line]
    words = line.strip().removeprefix("@").split()
    program = Path(sys.executable).parent / "cyclonedx-py"
    arguments = [str(tmp_path / "sbom.json") if word == "sbom.json" else word for word in words[1:]]
    arguments = [sys.executable if "$(BIN)" in word else word for word in arguments]
    subprocess.run([program, *arguments], cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {canonicalize_name(part["name"]): part["version"] for part in bill["components"]}
    assert {name: public(listed.get(name)) for name in parts} == {name: pinned()[name] for name in parts}
