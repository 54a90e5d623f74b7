"""Credentials of the services, from the environment alone.

Each variable may instead be given with the ending ``_FILE`` and name a file that holds the secret, as
container platforms mount them. Values are `SecretStr`, so that no representation, log or error shows them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from avalanche_assets.errors import AccountError


@dataclass(frozen=True)
class Account:
    """A name and its secret.

    Attributes:
        username: User name, or access key of an object store.
        password: Password, or secret key.
        variables: Environment variables they come from, for messages.
    """

    username: SecretStr
    password: SecretStr
    variables: str


def cdse_account() -> Account:
    """User of the Copernicus Data Space; raises `AccountError` when a variable is missing."""
    return _account("CDSE_USERNAME", "CDSE_PASSWORD")


def cdse_s3_keys() -> Account:
    """Keys of its object store; raises `AccountError` when a variable is missing."""
    return _account("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY")


def dhus_account() -> Account:
    """User of a DHuS archive; raises `AccountError` when a variable is missing."""
    return _account("DHUS_USERNAME", "DHUS_PASSWORD")


def alert_webhook() -> SecretStr | None:
    """Address that receives alerts: who knows it can write there, so it is a secret; None when not set."""
    return _secret("AVALANCHE_ALERT_WEBHOOK")


def smtp_account() -> Account | None:
    """Account of the mail server; None where it wants none."""
    variables = ("AVALANCHE_SMTP_USERNAME", "AVALANCHE_SMTP_PASSWORD")
    if not any(_secret(variable) for variable in variables):
        return None
    return _account(*variables)


def _account(*variables: str) -> Account:
    username, password = (_secret(variable) for variable in variables)
    missing = [name for name, value in zip(variables, (username, password), strict=True) if value is None]
    if username is None or password is None:
        raise AccountError(
            f"environment: {' and '.join(missing)} not set; set it, or {missing[0]}_FILE to a file "
            "that holds it"
        )
    return Account(username, password, " and ".join(variables))


def _secret(variable: str) -> SecretStr | None:
    value, file = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
    if value and file:
        raise AccountError(f"environment: {variable} and {variable}_FILE are both set; keep one of them")
    if file:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AccountError(
                f"{file}: secret of {variable}_FILE cannot be read ({type(error).__name__}); check the path"
            ) from None
        if not value:
            raise AccountError(f"{file}: secret of {variable}_FILE is empty; write it into the file")
    return SecretStr(value) if value else None
