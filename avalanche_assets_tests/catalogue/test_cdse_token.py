"""Tokens: refreshed before they expire, also between the requests of one download, and shown nowhere."""

import json
import logging
import threading
import time
import traceback

import pytest
from loopback.fake_cdse import MARK, PASSWORD, TOKEN_PATH, USERNAME, FakeCdse
from loopback.server import Answer, Fault
from pydantic import SecretStr

from avalanche_assets.catalogue.cdse.token import CdseToken
from avalanche_assets.errors import AccountError, CatalogueError, TransientError
from avalanche_assets.services.credentials import Account
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.settings import TransferSettings

QUICK = TransferSettings(attempts=4, first_wait_s=0, longest_wait_s=0, stalled_s=1, keep_free_gb=0)
CONTENT = bytes(range(256)) * 4000
VARIABLES = "CDSE_USERNAME and CDSE_PASSWORD"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cdse(clock):
    with FakeCdse({"one": CONTENT}, clock=clock) as running:
        yield running


def token_of(cdse, clock, password=PASSWORD):
    account = Account(SecretStr(USERNAME), SecretStr(password), VARIABLES)
    return CdseToken(HttpService(QUICK), cdse.token_url, account, clock)


def fetch(cdse, token, folder):
    service = HttpService(QUICK, token, VARIABLES)
    remote = Remote(cdse.product_url("one"), "one.zip", len(CONTENT))
    return service.download(remote, folder, lambda path: None, lambda transferred: None)


def test_a_token_is_kept_until_a_minute_before_it_expires(cdse, clock):
    token = token_of(cdse, clock)
    first = token(False)
    clock.now += 539
    assert token(False) == first
    clock.now += 2
    assert token(False) != first
    assert (cdse.logins, cdse.refreshes) == (1, 1)


def test_a_refused_token_is_refreshed_and_after_an_hour_of_silence_the_password_counts(cdse, clock):
    token = token_of(cdse, clock)
    first = token(False)
    cdse.expire_access_tokens()
    assert token(True) != first
    assert (cdse.logins, cdse.refreshes) == (1, 1)
    clock.now += 3600
    token(False)
    assert (cdse.logins, cdse.refreshes) == (2, 1)


def test_an_ended_session_is_opened_again_with_the_password(cdse, clock, tmp_path):
    token = token_of(cdse, clock)
    token(False)
    cdse.end_sessions()
    assert fetch(cdse, token, tmp_path).read_bytes() == CONTENT
    assert (cdse.logins, cdse.refreshes) == (2, 1)


def test_a_download_outlives_many_tokens(cdse, clock, tmp_path):
    path = cdse.product_path("one")
    token = token_of(cdse, clock)
    for _ in range(3):
        cdse.faults[path].extend([Fault("truncate", at=200_000), Fault("expire")])
    assert fetch(cdse, token, tmp_path).read_bytes() == CONTENT
    assert (cdse.logins, cdse.refreshes) == (1, 3)
    answered = [request.headers.get("range") for request in cdse.seen if request.path == path]
    assert answered[-1] == "bytes=600000-"
    assert cdse.served[path] == len(CONTENT)


def test_a_stream_that_breaks_after_ten_minutes_goes_on_with_a_new_token(cdse, clock, tmp_path):
    path = cdse.product_path("one")
    cdse.faults[path].extend([Fault("hours"), Fault("truncate", at=200_000)])
    token = token_of(cdse, clock)
    token(False)

    def hours():
        clock.now += 601

    cdse.on_fault["hours"] = hours
    # The first request takes place after ten minutes: its token is refused, refreshed, and the stream breaks.
    assert fetch(cdse, token, tmp_path).read_bytes() == CONTENT
    clock.now += 601
    (tmp_path / "one.zip").unlink()
    before = len(cdse.seen)
    assert fetch(cdse, token, tmp_path).read_bytes() == CONTENT
    assert [request.method for request in cdse.seen[before:]] == ["POST", "GET"]


def test_a_wrong_password_is_an_error_at_once_that_names_the_variables(cdse, clock, tmp_path):
    with pytest.raises(AccountError, match=rf"{TOKEN_PATH}: login refused; check {VARIABLES}.*second factor"):
        fetch(cdse, token_of(cdse, clock, f"{MARK}-wrong"), tmp_path)
    assert len(cdse.seen) == 1


def test_a_token_that_is_refused_though_fresh_is_an_error_that_names_the_variables(cdse, clock, tmp_path):
    cdse.faults[cdse.product_path("one")].extend([Fault("status", status=401)] * 9)
    with pytest.raises(AccountError, match=rf"credentials refused \(401\); check {VARIABLES}"):
        fetch(cdse, token_of(cdse, clock), tmp_path)
    assert len(cdse.seen) == 4


def test_a_token_service_out_of_order_is_asked_again(cdse, clock):
    cdse.faults[TOKEN_PATH].extend([Fault("status", status=503), Fault("reset", at=5)])
    assert token_of(cdse, clock)(False)
    cdse.faults[TOKEN_PATH].extend([Fault("status", status=503)] * 9)
    with pytest.raises(TransientError, match="answered 503; given up after 4 tries"):
        token_of(cdse, clock)(False)


def test_threads_share_one_token_and_one_of_them_asks_for_it(cdse, clock):
    token, headers = token_of(cdse, clock), []
    real = cdse.routes[TOKEN_PATH]

    def slow(request):
        time.sleep(0.05)
        return real(request)

    cdse.routes[TOKEN_PATH] = slow

    def use():
        headers.append(token(False))
        barrier.wait()
        headers.append(token(True))

    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # All eight were refused the same token: one renews it, the others take the new one.
    assert (cdse.logins, cdse.refreshes) == (1, 1)
    assert cdse.most_at_once[TOKEN_PATH] == 1
    assert len({json.dumps(header) for header in headers}) == 2


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"access_token": f"{MARK}\r\nX: y", "expires_in": 600}, "access_token"),
        ({"access_token": MARK, "expires_in": MARK}, "expires_in"),
        ({"refresh_token": MARK}, "access_token, expires_in"),
        ([MARK], "all"),
    ],
)
def test_a_malformed_answer_is_named_without_its_values(cdse, clock, content, field):
    cdse.routes[TOKEN_PATH] = lambda request: Answer(body=json.dumps(content).encode())
    with pytest.raises(
        CatalogueError, match=f"token are missing or wrong: {field}; check source.cdse"
    ) as raised:
        token_of(cdse, clock)(False)
    assert MARK not in "".join(traceback.format_exception(raised.value))


def test_secrets_are_in_no_representation_log_or_error(cdse, clock, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    token = token_of(cdse, clock)
    fetch(cdse, token, tmp_path)
    texts = [repr(token), repr(vars(token)), repr(token._account)]
    for fault in (Fault("status", status=401), Fault("status", status=403), Fault("status", status=503)):
        cdse.faults[TOKEN_PATH].extend([fault] * 9)
        cdse.end_sessions()
        with pytest.raises(CatalogueError) as raised:
            token(True)
        cdse.faults[TOKEN_PATH].clear()
        texts.append("".join(traceback.format_exception(raised.value)))
    assert any(MARK in request.body.decode() for request in cdse.seen)
    assert MARK not in caplog.text + "".join(texts)
    assert all(MARK not in request.line for request in cdse.seen)
