"""The files of a model: a JSON description of what it is and how it was made, and its weights.

Nothing is pickled and nothing stored is executed: a model folder holds the description and, where there are
weights, arrays as safetensors whose SHA-256 the description carries. The description carries its own hash
too, which is the detector's version.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from avalanche_assets.errors import DetectorError
from avalanche_assets.files import atomic_path, write_text

SCHEMA_VERSION = 1
FILE_NAME = "model.json"
VERSION_DIGITS = 12

Tensors = dict[str, NDArray[Any]]


def content_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content as JSON with sorted keys: the same content gives the same hash."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def describe(detector: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The full description of a detector: `content` with detector, schema version and hash."""
    description = {"schema_version": SCHEMA_VERSION, "detector": detector, **content}
    return {**description, "sha256": content_hash(description)}


def version_of(description: Mapping[str, Any]) -> str:
    """The version a description stands for."""
    return str(description["sha256"])[:VERSION_DIGITS]


def describe_weights(detector: str, content: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """`describe`, with the hash of the weights in it."""
    return describe(detector, {**content, "weights_sha256": hashlib.sha256(_bytes(tensors)).hexdigest()})


def write_model(folder: Path, description: Mapping[str, Any], tensors: Tensors) -> None:
    """Writes the weights, then ``model.json`` that names them, then removes older weights.

    The weights' file name holds their hash, so an interrupted writing leaves the old model whole.
    """
    weights = folder / _weights_name(description) if tensors else None
    if weights is not None:
        with atomic_path(weights) as temporary:
            temporary.write_bytes(_bytes(tensors))
    write_description(folder, description)
    for other in folder.glob("weights.*.safetensors"):
        if other != weights:
            other.unlink()


def read_model(folder: Path, detector: str) -> tuple[dict[str, Any], Tensors]:
    """Description and weights of `detector`, checked; no weights where it has none.

    Raises:
        DetectorError: A file is missing or altered, or of another detector or schema version.
    """
    description = read_description(folder, detector)
    if "weights_sha256" not in description:
        return description, {}
    remedy = f"materialise the asset of {detector!r} again"
    path = folder / _weights_name(description)
    if not path.exists():
        raise DetectorError(f"{path}: the weights are missing; {remedy}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
        raise DetectorError(f"{path}: sha256 is not weights_sha256 of model.json; {remedy}")
    try:
        return description, safetensors.load(content)
    except SafetensorError as error:
        raise DetectorError(f"{path}: not safetensors ({error}); {remedy}") from error


def _bytes(tensors: Tensors) -> bytes:
    content: bytes = safetensors.save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    return content


def _weights_name(description: Mapping[str, Any]) -> str:
    return f"weights.{description['weights_sha256'][:12]}.safetensors"


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Writes a description from `describe` into `folder`, atomically."""
    write_text(folder / FILE_NAME, json.dumps(description, indent=2, sort_keys=True) + "\n")


def read_description(folder: Path, detector: str) -> dict[str, Any]:
    """Reads the description of `detector` and checks it.

    Raises:
        DetectorError: It is missing, not JSON, altered, or of another detector or schema version.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise DetectorError(f"{path}: no trained detector here; materialise the asset of {detector!r}")
    remedy = f"materialise the asset of {detector!r} again"
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DetectorError(f"{path}: not readable as JSON ({error}); {remedy}") from error
    for field, expected in (("schema_version", SCHEMA_VERSION), ("detector", detector)):
        if description.get(field) != expected:
            raise DetectorError(
                f"{path}: {field} is {description.get(field)!r}, expected {expected!r}; {remedy}"
            )
    content = {key: value for key, value in description.items() if key != "sha256"}
    if content_hash(content) != description.get("sha256"):
        raise DetectorError(f"{path}: sha256 does not match the content, the file was altered; {remedy}")
    return description


def require_equal(folder: Path, description: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuses a description whose configuration is not the one this code computes with.

    Raises:
        DetectorError: A field differs; the message names it and both values.
    """
    for field, value in expected.items():
        if description.get(field) != value:
            raise DetectorError(
                f"{folder / FILE_NAME}: {field} is {description.get(field)!r}, this version computes with "
                f"{value!r}; materialise the asset of {description['detector']!r} again"
            )
