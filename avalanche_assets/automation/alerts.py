"""Telling people on duty: of failed runs (`tell_of_failures`) and failed checks (`tell_of_checks`)."""

import json
from datetime import UTC, datetime

import dagster as dg

from avalanche_assets.automation.checks import SERVICE_CHECKS
from avalanche_assets.automation.failures import LAST_RESORT, PARTITION, Failure, failure_of
from avalanche_assets.automation.retries import ATTEMPT, DELAYS, next_attempt
from avalanche_assets.services.alerting import Alert, send
from avalanche_assets.settings import Settings


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Both sensors; they run where the settings say how people are told."""
    chosen = settings.alert.by != "none"
    status = dg.DefaultSensorStatus.RUNNING if chosen else dg.DefaultSensorStatus.STOPPED
    return [_tell_of_failures(settings, status), _tell_of_checks(settings, status)]


def _tell_of_failures(settings: Settings, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="tell_of_failures",
        default_status=status,
        description="Tells people of a failed run: date, step, reason, remedy. The same failure of a date is "
        "told once, and again when it is given up.",
    )
    def sensor(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        alert = alert_of(context.instance, context.dagster_run, settings)
        if alert is None:
            return dg.SkipReason("told already")
        send(alert, settings.alert)
        return None

    return sensor


def alert_of(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> Alert | None:
    """What to tell of a failed run; None when the same was told and nothing is new."""
    failure = failure_of(instance, run)
    record = instance.get_run_record_by_id(run.run_id)
    ended = datetime.fromtimestamp(record.end_time, UTC) if record and record.end_time else datetime.now(UTC)
    again = next_attempt(failure, run, ended)
    attempt = int(run.tags.get(ATTEMPT, "1"))
    given_up = again is None and attempt > 1
    if not given_up and _same_as_before(instance, run, failure):
        return None
    if again is not None:
        number = f"attempt {attempt + 1} of {len(DELAYS) + 1}"
        outlook = f"It is tried again at about {again:%Y-%m-%d %H:%M} UTC ({number})."
    else:
        tried = f"Given up after {attempt} attempts. " if given_up else ""
        outlook = f"{tried}When it is mended: Re-execute from failure, on the page of the run."
    return Alert(
        settings.alert.name,
        failure.partition,
        failure.step,
        failure.reason,
        failure.remedy,
        outlook,
        _place(settings, run.run_id),
    )


def _same_as_before(instance: dg.DagsterInstance, run: dg.DagsterRun, failure: Failure) -> bool:
    """Whether the run before this one, of the same date or else the same job, failed in the same way."""
    partition = run.tags.get(PARTITION)
    alike = dg.RunsFilter(tags={PARTITION: partition}) if partition else dg.RunsFilter(job_name=run.job_name)
    ids = [other.run_id for other in instance.get_runs(alike, limit=20)]
    older = ids[ids.index(run.run_id) + 1 :] if run.run_id in ids else ids
    before = instance.get_run_by_id(older[0]) if older else None
    if before is None or before.status != dg.DagsterRunStatus.FAILURE:
        return False
    known = failure_of(instance, before)
    return (known.step, known.error) == (failure.step, failure.error)


def _tell_of_checks(settings: Settings, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="tell_of_checks",
        default_status=status,
        minimum_interval_seconds=600,
        description="Tells people when a bulletin does not come or stored files are damaged, once each.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        told: dict[str, str] = json.loads(context.cursor or "{}")
        now = {name: _problem(context.instance, name) for name in SERVICE_CHECKS}
        for name, problem in now.items():
            if problem and problem != told.get(name):
                reason, _, remedy = problem.partition("; ")
                place = settings.alert.ui_url or "acquisition_catalogue, Checks"
                send(
                    Alert(settings.alert.name, "", name, reason, remedy or LAST_RESORT, "", place),
                    settings.alert,
                )
        context.update_cursor(json.dumps(now))
        return dg.SkipReason("looked at")

    return sensor


def _problem(instance: dg.DagsterInstance, check: str) -> str:
    """What a check of the service said last, if it failed as an error; nothing else."""
    key = dg.AssetCheckKey(dg.AssetKey("acquisition_catalogue"), check)
    record = instance.get_latest_asset_check_evaluation_record(key)
    entry = record.event if record else None
    evaluation = entry.dagster_event.asset_check_evaluation_data if entry and entry.dagster_event else None
    if evaluation is None or evaluation.passed or evaluation.severity != dg.AssetCheckSeverity.ERROR:
        return ""
    return evaluation.description or check


def _place(settings: Settings, run_id: str) -> str:
    return f"{settings.alert.ui_url}/runs/{run_id}" if settings.alert.ui_url else run_id
