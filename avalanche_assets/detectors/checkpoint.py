"""The state of an interrupted training: weights, optimiser, random state and history in one file.

torch's own format, because optimisers keep more than tensors; it is read with `weights_only`, which takes
tensors and plain values and refuses anything that would execute.
"""

import pickle
from pathlib import Path
from typing import Any

import torch

from avalanche_assets.files import atomic_path


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, whole or not at all."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def read_checkpoint(path: Path | None, fingerprint: str) -> dict[str, Any] | None:
    """The state of the training with this fingerprint; None where there is none or it cannot be read.

    A checkpoint is only saved time: one that does not fit is no error, the training starts anew.
    """
    if path is None or not path.exists():
        return None
    try:
        with path.open("rb") as file:
            state = torch.load(file, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError):
        return None
    return state if isinstance(state, dict) and state.get("fingerprint") == fingerprint else None
