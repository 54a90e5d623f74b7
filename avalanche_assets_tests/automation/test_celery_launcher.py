"""How a started run fares, by what the result backend and the workers say."""

from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from avalanche_assets.automation import celery_launcher

WORKER = "worker1@somewhere"


@pytest.fixture
def task():
    """A task of its own for each test: the backend in memory outlives them."""
    return uuid4().hex


@pytest.fixture
def run(task):
    return dg.DagsterRun(job_name="job", tags={"dagster-celery/task_id": task})


@pytest.fixture
def launcher(monkeypatch):
    monkeypatch.setattr(celery_launcher, "PATIENCE_S", 0.1)
    return celery_launcher.WatchedCeleryRunLauncher(
        default_queue="dagster", broker="memory://", backend="cache+memory://"
    )


def workers_have(monkeypatch, launcher, tasks):
    """Workers answer with the tasks they are at work on."""
    asked = []

    def inspect(workers, timeout):
        asked.append(workers)
        return type("Inspect", (), {"active": lambda self: {WORKER: [{"id": task} for task in tasks]}})()

    monkeypatch.setattr(launcher.celery.control, "inspect", inspect)
    return asked


def backend_says(launcher, task, state, result=None):
    launcher.celery.backend.store_result(task, result, state)


def test_run_fails_when_its_worker_is_silent(launcher, run, task):
    backend_says(launcher, task, "STARTED", {"hostname": WORKER})
    health = launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.FAILED
    assert "worker has died" in health.msg


def test_run_fails_when_its_worker_was_started_anew_and_does_not_have_it(launcher, run, task, monkeypatch):
    backend_says(launcher, task, "STARTED", {"hostname": WORKER})
    workers_have(monkeypatch, launcher, ["another-task"])
    assert launcher.check_run_worker_health(run).status == WorkerStatus.FAILED


def test_run_goes_on_while_its_worker_has_it_and_only_that_one_is_asked(launcher, run, task, monkeypatch):
    backend_says(launcher, task, "STARTED", {"hostname": WORKER})
    asked = workers_have(monkeypatch, launcher, [task])
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    assert asked == [[WORKER]]


def test_run_goes_on_when_the_backend_has_forgotten_it_but_a_worker_has_it(launcher, run, task, monkeypatch):
    asked = workers_have(monkeypatch, launcher, [task])
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    assert asked == [None]


@pytest.mark.parametrize(
    ("state", "status"), [("SUCCESS", WorkerStatus.SUCCESS), ("FAILURE", WorkerStatus.FAILED)]
)
def test_ended_run_is_what_the_backend_says(launcher, run, task, state, status):
    backend_says(launcher, task, state, RuntimeError("lost") if state == "FAILURE" else 0)
    assert launcher.check_run_worker_health(run).status == status


def test_run_that_ends_while_its_worker_is_asked_has_not_failed(launcher, run, task, monkeypatch):
    backend_says(launcher, task, "STARTED", {"hostname": WORKER})

    def ends(task_id):
        backend_says(launcher, task, "SUCCESS", 0)
        return False

    monkeypatch.setattr(launcher, "_is_active", ends)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.SUCCESS
