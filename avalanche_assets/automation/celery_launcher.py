"""Runs as Celery tasks whose workers are found to be dead soon after they have died (deploy/celery).

`dagster-celery` asks the result backend alone how a run fares. A worker that is killed, or goes down with
its machine, leaves "started" there for ever, and its run would hold its place until the longest time that a
run may take. Here the worker that took the run is asked too. Dagster's run monitoring then declares the run
failed, and `run_retries` launches it again on another worker.
"""

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

PATIENCE_S = 5.0
"""How long a worker may take to answer; its main process does nothing but answer and hand out runs."""


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """`CeleryRunLauncher` that looks whether the worker of a started run still has it."""

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """How the run's worker fares; called by the daemon's run monitoring for runs that have started."""
        health = super().check_run_worker_health(run)
        if health.status not in (WorkerStatus.RUNNING, WorkerStatus.UNKNOWN):
            return health
        if self._is_active(run.tags[DAGSTER_CELERY_TASK_ID_TAG]):
            # Also where the result backend has forgotten the task, after a restart without its data.
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        now = super().check_run_worker_health(run)
        if now.status in (WorkerStatus.SUCCESS, WorkerStatus.FAILED):
            return now  # it ended between the two questions
        return CheckRunHealthResult(WorkerStatus.FAILED, "Its Celery worker has died: no worker has the run.")

    def _is_active(self, task_id: str) -> bool:
        started = self.celery.AsyncResult(task_id).info
        worker = started.get("hostname") if isinstance(started, dict) else None
        # The worker that took it answers at once; without its name all are asked, which takes the whole time.
        workers = self.celery.control.inspect([worker] if worker else None, timeout=PATIENCE_S)
        active = workers.active() or {}
        return any(task["id"] == task_id for tasks in active.values() for task in tasks)
