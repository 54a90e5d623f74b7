"""Who is told of what, how, and how often."""

import json

import dagster as dg
import pytest
from automation.failed_runs import AWAY, DAMAGED, fail
from dagster import build_run_status_sensor_context
from loopback.fake_smtp import FakeSmtp
from loopback.server import Answer, Fault, LoopbackServer

from avalanche_assets.automation.alerts import alert_of, alert_sensors
from avalanche_assets.automation.failures import LAST_RESORT, OUR_BUG, failure_of
from avalanche_assets.automation.retries import ATTEMPT, DELAYS
from avalanche_assets.errors import SettingsError, TransientError
from avalanche_assets.services import alerting
from avalanche_assets.services.alerting import Alert, send
from avalanche_assets.settings import AlertSettings, InventorySettings, Settings, SourceSettings

ALERT = Alert("alps", "2018-01-09", "sigma0", "a.zip is damaged", "fetch it again", "", "run-1")
HOOK = "/hooks/secret-token"


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(alerting, "WAIT_S", 0.0)
    monkeypatch.setattr(send.retry, "wait", lambda state: 0.0)
    with LoopbackServer() as running:
        running.routes[HOOK] = lambda request: Answer(200, b"ok")
        monkeypatch.setenv("AVALANCHE_ALERT_WEBHOOK", running.url + HOOK)
        yield running


def settings(tmp_path, **alert):
    return Settings(
        data_root=tmp_path,
        source=SourceSettings(kind="raster_folder", folder=tmp_path),
        inventory=InventorySettings(corridors=tmp_path / "c.gpkg"),
        alert=AlertSettings(**({"by": "webhook", "name": "alps"} | alert)),
    )


def posted(server):
    return [json.loads(request.body) for request in server.seen]


def tell(instance, run, chosen):
    """The failure sensor on one failed run."""
    (event,) = (
        entry.dagster_event
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    )
    context = build_run_status_sensor_context(
        sensor_name="tell_of_failures",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=event,
    ).for_run_failure()
    alert_sensors(chosen)[0](context)


# What a failure says


def test_failure_names_date_step_reason_and_remedy(instance):
    found = failure_of(instance, fail(instance, DAMAGED))
    assert (found.partition, found.step, found.error) == ("2018-01-09", "sigma0", "SafeError")
    assert found.reason == "/products/a.zip: not a complete zip"
    assert found.remedy == "fetch the product again"


def test_failure_of_our_own_code_says_so(instance):
    found = failure_of(instance, fail(instance, KeyError("x")))
    assert found.remedy == OUR_BUG


def test_failed_blocking_check_is_named(instance):
    @dg.asset
    def sigma0() -> None: ...

    @dg.asset_check(asset=sigma0, blocking=True)
    def calibration_plausible() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = dg.materialize(
        [sigma0, calibration_plausible], instance=instance, run_config=quiet, raise_on_error=False
    )
    found = failure_of(instance, instance.get_run_by_id(result.run_id))
    assert "calibration_plausible" in found.reason
    assert found.remedy == LAST_RESORT


# Who is told


def test_a_failed_run_is_told_by_webhook(instance, server, tmp_path):
    chosen = settings(tmp_path, ui_url="https://dagster.example.org/")
    run = fail(instance, DAMAGED)
    tell(instance, run, chosen)
    (told,) = posted(server)
    assert told["date"] == "2018-01-09"
    assert told["step"] == "sigma0"
    assert told["reason"] == "/products/a.zip: not a complete zip"
    assert told["remedy"] == "fetch the product again"
    assert told["run"] == f"https://dagster.example.org/runs/{run.run_id}"
    assert "sigma0 failed for 2018-01-09" in told["text"]


def test_the_same_failure_of_a_date_is_told_once(instance, server, tmp_path):
    for _ in range(3):
        tell(instance, fail(instance, DAMAGED), settings(tmp_path))
    assert len(posted(server)) == 1


def test_other_dates_and_other_errors_are_told(instance, server, tmp_path):
    for error, day in ((DAMAGED, "2018-01-03"), (DAMAGED, "2018-01-09"), (KeyError("x"), "2018-01-09")):
        tell(instance, fail(instance, error, day=day), settings(tmp_path))
    assert len(posted(server)) == 3


def test_an_outage_is_told_at_once_with_the_next_attempt_and_again_when_it_is_given_up(instance, tmp_path):
    chosen = settings(tmp_path)
    alerts = [
        alert_of(instance, fail(instance, AWAY, {ATTEMPT: str(attempt)}), chosen)
        for attempt in range(1, len(DELAYS) + 2)
    ]
    first, *between, last = alerts
    assert "It is tried again at about" in first.outlook
    assert set(between) == {None}
    assert last.outlook.startswith(f"Given up after {len(DELAYS) + 1} attempts.")


def test_nobody_is_told_until_the_settings_say_who(tmp_path):
    assert {s.default_status.value for s in alert_sensors(settings(tmp_path, by="none"))} == {"STOPPED"}
    assert {s.default_status.value for s in alert_sensors(settings(tmp_path))} == {"RUNNING"}


def test_a_check_of_the_service_is_told_once_and_again_when_it_says_something_else(
    instance, server, tmp_path
):
    def evaluate(problem):
        key = dg.AssetKey("acquisition_catalogue")
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name="bulletins_follow",
                passed=not problem,
                metadata={},
                severity=dg.AssetCheckSeverity.ERROR,
                description=problem,
            )
        )

    sensor, cursor = alert_sensors(settings(tmp_path))[1], None
    for problem in (
        "1 late: 2018-01-21; see its run",
        "1 late: 2018-01-21; see its run",
        "2 late; see",
        None,
    ):
        evaluate(problem)
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            sensor(context)
            cursor = context.cursor
    assert [told["reason"] for told in posted(server)] == ["1 late: 2018-01-21", "2 late"]
    assert posted(server)[0]["remedy"] == "see its run"


# How it gets there


def test_mail_has_everything(tmp_path):
    with FakeSmtp() as mail:
        chosen = AlertSettings(
            by="mail",
            smtp_host="127.0.0.1",
            smtp_port=mail.port,
            starttls=False,
            sender="dagster@example.org",
            recipients=("desk@example.org", "duty@example.org"),
        )
        send(ALERT, chosen)
    (message,) = mail.mails
    assert "Subject: alps: sigma0 failed for 2018-01-09" in message
    assert "To: desk@example.org, duty@example.org" in message
    assert "Reason: a.zip is damaged" in message
    assert "Remedy: fetch it again" in message


def test_a_webhook_that_fails_is_tried_three_times(server):
    server.faults[HOOK].extend([Fault("status", status=500)] * 2)
    send(ALERT, AlertSettings(by="webhook"))
    assert len(server.seen) == 3


def test_an_alert_that_cannot_be_sent_is_an_error_without_the_secret(server):
    server.faults[HOOK].extend([Fault("status", status=404)] * 3)
    with pytest.raises(TransientError, match="status 404") as caught:
        send(ALERT, AlertSettings(by="webhook"))
    assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "http://example.org/hook"])
def test_webhook_without_address_or_encryption_is_refused(monkeypatch, url):
    monkeypatch.setenv("AVALANCHE_ALERT_WEBHOOK", url)
    with pytest.raises(SettingsError, match="AVALANCHE_ALERT_WEBHOOK"):
        send(ALERT, AlertSettings(by="webhook"))


def test_mail_without_sender_is_a_wrong_setting():
    with pytest.raises(ValueError, match="sender or recipients is missing"):
        AlertSettings(by="mail")
