"""Telling people that something failed: by a webhook or by mail, whichever the settings name.

The webhook's address and the mail account are secrets and come from the environment alone.
"""

import smtplib
import ssl
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from urllib.parse import urlsplit

import requests
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from avalanche_assets.errors import SettingsError, TransientError
from avalanche_assets.services.credentials import alert_webhook, smtp_account
from avalanche_assets.settings import AlertSettings

TIMEOUT_S = 10.0
WAIT_S = 2.0


@dataclass(frozen=True)
class Alert:
    """What a person on duty has to know.

    Attributes:
        deployment: Which service.
        date: Acquisition date or season; empty for none.
        step: What failed.
        reason: Why.
        remedy: What to do.
        outlook: Whether it is tried again by itself.
        run: Id of the run, or its address in the UI where the web server is known.
    """

    deployment: str
    date: str
    step: str
    reason: str
    remedy: str
    outlook: str
    run: str

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.deployment}: {self.step or 'run'} failed{f' for {self.date}' if self.date else ''}"

    @property
    def text(self) -> str:
        """All of it."""
        lines = [
            self.title,
            f"Reason: {self.reason}",
            f"Remedy: {self.remedy}",
            self.outlook,
            f"Run: {self.run}",
        ]
        return "\n".join(line for line in lines if line)


@retry(
    retry=retry_if_exception_type(TransientError),
    stop=stop_after_attempt(3),
    wait=wait_fixed(WAIT_S),
    reraise=True,
)
def send(alert: Alert, settings: AlertSettings) -> None:
    """Sends an alert the way the settings say, three times if need be; nothing where they name no way.

    Raises:
        SettingsError: The secret is missing, or not an address.
        TransientError: The receiver did not take it.
    """
    if settings.by == "webhook":
        _post(alert)
    elif settings.by == "mail":
        _mail(alert, settings)


def _post(alert: Alert) -> None:
    """The fields as JSON; `text` is what Slack, Mattermost and Teams show."""
    secret = alert_webhook()
    if secret is None:
        raise SettingsError("AVALANCHE_ALERT_WEBHOOK is not set; set it, or set alert.by to none")
    url = secret.get_secret_value()
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise SettingsError("AVALANCHE_ALERT_WEBHOOK is not an https address; correct it")
    body = {"text": alert.text, **asdict(alert)}
    try:
        answer = requests.post(url, json=body, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        # Not its text: it would name the address.
        raise TransientError(
            f"alert webhook at {parts.hostname}: {type(error).__name__}; try again"
        ) from None
    if not answer.ok:
        raise TransientError(
            f"alert webhook at {parts.hostname}: status {answer.status_code}; check its address"
        )


def _mail(alert: Alert, settings: AlertSettings) -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = alert.title, settings.sender
    message["To"] = ", ".join(settings.recipients)
    message.set_content(alert.text)
    account = smtp_account()
    place = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S) as server:
            if settings.starttls:
                server.starttls(context=ssl.create_default_context())
            if account is not None:
                server.login(account.username.get_secret_value(), account.password.get_secret_value())
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise TransientError(f"mail server {place}: {type(error).__name__}; check alert.smtp_host") from None
