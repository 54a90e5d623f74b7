"""Credentials come from the environment or from secrets files, and are never shown."""

import pytest

from avalanche_assets.errors import CatalogueError
from avalanche_assets.services.credentials import cdse_account, cdse_s3_keys, dhus_account

READERS = [
    (cdse_account, "CDSE_USERNAME", "CDSE_PASSWORD"),
    (cdse_s3_keys, "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"),
    (dhus_account, "DHUS_USERNAME", "DHUS_PASSWORD"),
]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for _, *variables in READERS:
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)
            monkeypatch.delenv(f"{variable}_FILE", raising=False)


@pytest.mark.parametrize(("read", "name", "secret"), READERS)
def test_variables_and_files_are_read(read, name, secret, monkeypatch, tmp_path):
    monkeypatch.setenv(name, "me@example.org")
    (tmp_path / "secret").write_text("  p&ss \n")
    monkeypatch.setenv(f"{secret}_FILE", str(tmp_path / "secret"))
    account = read()
    assert account.username.get_secret_value() == "me@example.org"
    assert account.password.get_secret_value() == "p&ss"
    assert account.variables == f"{name} and {secret}"
    assert "p&ss" not in repr(account) + str(account)
    assert "example" not in repr(account) + str(account)


@pytest.mark.parametrize(("read", "name", "secret"), READERS)
def test_missing_ones_are_named(read, name, secret, monkeypatch):
    with pytest.raises(
        CatalogueError, match=f"environment: {name} and {secret} not set; set it, or {name}_FILE"
    ):
        read()
    monkeypatch.setenv(name, "me")
    monkeypatch.setenv(secret, "")
    with pytest.raises(CatalogueError, match=f"environment: {secret} not set; set it, or {secret}_FILE"):
        read()


def test_unreadable_empty_and_double_ones_are_named_without_their_value(monkeypatch, tmp_path):
    monkeypatch.setenv("CDSE_USERNAME", "me")
    file = tmp_path / "secret"
    monkeypatch.setenv("CDSE_PASSWORD_FILE", str(file))
    with pytest.raises(
        CatalogueError, match=r"secret: secret of CDSE_PASSWORD_FILE cannot be read \(FileNotFound"
    ):
        cdse_account()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogueError, match=r"cannot be read \(UnicodeDecodeError"):
        cdse_account()
    file.write_text("\n")
    with pytest.raises(CatalogueError, match=r"CDSE_PASSWORD_FILE is empty"):
        cdse_account()
    file.write_text("hidden")
    monkeypatch.setenv("CDSE_PASSWORD", "hidden")
    with pytest.raises(CatalogueError, match=r"CDSE_PASSWORD and CDSE_PASSWORD_FILE are both set") as raised:
        cdse_account()
    assert "hidden" not in str(raised.value)
