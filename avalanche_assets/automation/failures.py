"""What a failed run says: which date, which step, why, what to do, and whether it may pass by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from avalanche_assets import errors

PARTITION = "dagster/partition"
MAY_PASS = {"TransientError", "OfflineError"}
"""Errors of a source after which the same request may succeed hours later."""
LAST_RESORT = "see the run's log, and docs/operations.md, 'When a date fails'"
OUR_BUG = "a defect of the software: send its makers the run's log"


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Attributes:
        run_id: Of the run.
        partition: Date or season; empty for none.
        step: The step that failed first; empty when none began.
        error: Name of the error's class, such as ``SafeError``.
        reason: What happened.
        remedy: What to do.
    """

    run_id: str
    partition: str
    step: str
    error: str
    reason: str
    remedy: str

    @property
    def may_pass(self) -> bool:
        """Whether trying again later can help."""
        return self.error in MAY_PASS


def failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Failure:
    """Reads the log of a failed run."""
    events = [
        entry.dagster_event
        for entry in instance.all_logs(
            run.run_id, of_type={dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
        )
        if entry.dagster_event
    ]
    partition = run.tags.get(PARTITION, "")
    for event in events:
        if event.is_step_failure:
            step = event.step_key or ""
            name, message = _first_own(_chain(event.step_failure_data.error))
            reason, remedy = _split(name, message)
            return Failure(run.run_id, partition, step, name, reason, remedy)
    told = next((event.message for event in events if event.message), "no step began")
    return Failure(run.run_id, partition, "", "", str(told), LAST_RESORT)


def _chain(error: Any) -> Iterator[tuple[str, str]]:
    """Class and message of an error and of its causes."""
    while error is not None:
        yield error.cls_name or "", _without_class(error.message)
        error = error.cause


def _first_own(chain: Iterator[tuple[str, str]]) -> tuple[str, str]:
    """The first error that is ours to explain; the deepest one else."""
    last = ("", "unknown error")
    for name, message in chain:
        last = (name, message)
        if name == "DagsterAssetCheckFailedError" or hasattr(errors, name):
            break
    return last


def _without_class(message: str) -> str:
    """Dagster puts the dotted class before a message."""
    first, separator, rest = message.strip().partition(": ")
    return rest if separator and first.replace(".", "").isidentifier() else message.strip()


def _split(name: str, message: str) -> tuple[str, str]:
    """Reason and remedy: our messages name what to do after a semicolon."""
    reason, _, remedy = message.partition("; ")
    if remedy:
        return reason, remedy
    return message, LAST_RESORT if name.startswith("Dagster") or hasattr(errors, name) else OUR_BUG
