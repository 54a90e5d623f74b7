"""A stand-in for Docker's engine behind the compose stack's socket proxy: a container is a process.

It answers what the Docker client of a run launcher asks, refuses what the socket proxy would refuse, and
starts the command of a created container with nothing but the environment that the container was given.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loopback.server import Answer, LoopbackServer, Request

NETWORK = "avalanche-outside"


@dataclass
class Container:
    """What was asked for, and the process it became."""

    spec: dict[str, Any]
    networks: list[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.spec["Env"])


@dataclass
class FakeDocker:
    """Docker's interface on `server`.

    Attributes:
        server: Serves it while entered.
        arguments: Of the socket proxy: ``-allowGET=...``, ``-allowPOST=...``, ``-allowbindmountfrom=...``.
        logs: Receives the output of containers.
        containers: By id.
        refused: Requests that the socket proxy stops.
    """

    server: LoopbackServer
    arguments: Sequence[str]
    logs: Path
    containers: dict[str, Container] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.routes["/"] = self.answer

    def answer(self, request: Request) -> Answer:
        if not self._allowed(request):
            self.refused.append(request.line)
            return Answer(403, b"Forbidden")
        parts = [part for part in request.path.split("/") if part]
        if parts[-1] == "version":
            return _json({"Version": "27.0.0", "ApiVersion": "1.46", "MinAPIVersion": "1.24"})
        if parts[-1] == "create":
            spec = json.loads(request.body)
            name = uuid.uuid4().hex + uuid.uuid4().hex
            self.containers[name] = Container(spec, [spec["HostConfig"]["NetworkMode"]])
            return _json({"Id": name, "Warnings": []}, 201)
        if "networks" in parts and parts[-1] == "connect":
            self.containers[json.loads(request.body)["Container"]].networks.append(parts[-2])
            return Answer()
        if "networks" in parts:
            return _json({"Id": parts[-1], "Name": parts[-1]})
        container = self.containers[parts[-2]]
        if parts[-1] == "json":
            return _json(
                {"Id": parts[-2], "Name": "/run", "Config": {}, "State": {"Status": _state(container)}}
            )
        if parts[-1] == "start":
            self._start(parts[-2])
        elif container.process:
            container.process.terminate()
        return Answer(204)

    def _allowed(self, request: Request) -> bool:
        patterns = [
            argument.split("=", 1)[1]
            for argument in self.arguments
            if argument.startswith(f"-allow{request.method}=")
        ]
        if not any(re.fullmatch(pattern, request.path) for pattern in patterns):
            return False
        if not request.path.endswith("/create"):
            return True
        sources = [bind.split(":")[0] for bind in json.loads(request.body)["HostConfig"].get("Binds") or []]
        folders = [a.split("=")[1] for a in self.arguments if a.startswith("-allowbindmountfrom=")]
        return all(not source.startswith("/") or source in folders for source in sources)

    def _start(self, name: str) -> None:
        container = self.containers[name]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        inherited = {key: os.environ[key] for key in ("PYTHONPATH", "HOME") if key in os.environ}
        with (self.logs / f"run-{name[:8]}.log").open("wb") as log:
            container.process = subprocess.Popen(
                container.spec["Cmd"],
                env={"PATH": path, **inherited, **container.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        """Kills what still runs."""
        for container in self.containers.values():
            if container.process and container.process.poll() is None:
                container.process.kill()


def _state(container: Container) -> str:
    if container.process is None:
        return "created"
    return "running" if container.process.poll() is None else "exited"


def _json(content: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
