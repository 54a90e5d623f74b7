"""docker-compose.yml as podman-compose resolves it."""

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
VARIABLES = {"AVALANCHE_DATA": "/srv/data", "AVALANCHE_SECRETS": "/srv/secrets", "DOCKER_GROUP": "999"}
"""What .env has to set."""


def resolved(folder: Path, *files: str) -> dict[str, Any]:
    """Compose files with anchors merged and variables replaced.

    Args:
        folder: Receives the stand-in that answers for the absent engine.
        files: Relative to the repository; later ones override earlier ones.
    """
    podman = folder / "podman"
    podman.write_text("#!/bin/sh\necho 'podman version 4.9.0'\n")
    podman.chmod(podman.stat().st_mode | stat.S_IXUSR)
    command = [str(Path(sys.executable).parent / "podman-compose"), "--podman-path", str(podman)]
    for file in files:
        command += ["-f", str(ROOT / file)]
    result = subprocess.run(
        [*command, "config"], env=os.environ | VARIABLES, capture_output=True, text=True, check=True
    )
    return yaml.safe_load(result.stdout)


def command_of(service: dict[str, Any]) -> list[str]:
    command = service["command"]
    return shlex.split(command) if isinstance(command, str) else command
