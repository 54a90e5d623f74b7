"""Requests: what is tried again, what is refused at once, and where credentials and URLs never go."""

import gzip
import json
import logging
import subprocess
import threading
import time
import traceback
from dataclasses import replace

import pytest
from loopback.server import Answer, Fault, LoopbackServer

from avalanche_assets.errors import AccountError, CatalogueError, OfflineError, RefusedError, TransientError
from avalanche_assets.services.http_service import HttpService
from avalanche_assets.settings import TransferSettings

SECRET = "S3CRET-value"
QUICK = TransferSettings(attempts=4, first_wait_s=0, longest_wait_s=0, stalled_s=0.3, keep_free_gb=0)


@pytest.fixture
def server():
    with LoopbackServer() as running:
        running.routes["/search"] = lambda request: Answer(body=b'{"value": [1, 2]}')
        yield running


def status(code, **headers):
    return Fault("status", status=code, headers=tuple(headers.items()))


@pytest.mark.parametrize("code", [404, 408, 425, 429, 500, 502, 503, 504])
def test_answers_that_may_pass_are_asked_for_again(server, code):
    server.faults["/search"].extend([status(code)] * 3)
    assert HttpService(QUICK).json(f"{server.url}/search") == {"value": [1, 2]}
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (400, RefusedError, "answered 400; check the address"),
        (401, AccountError, "credentials refused.*check MY_USER and MY_PASSWORD"),
        (403, AccountError, "no permission or quota used up; check the account of MY_USER"),
        (202, OfflineError, "from an archive; try again later"),
        (301, RefusedError, "answered 301"),
        (410, CatalogueError, r"gone \(410\); it was withdrawn.*materialise the date again"),
    ],
)
def test_answers_that_will_not_pass_are_errors_at_once(server, code, kind, says):
    server.faults["/search"].append(status(code))
    service = HttpService(QUICK, credentials="MY_USER and MY_PASSWORD")
    with pytest.raises(kind, match=rf"^127\.0\.0\.1:{server.port}/search: .*{says}"):
        service.json(f"{server.url}/search")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (503, TransientError, "answered 503; given up after 4 tries, try again later"),
        (404, CatalogueError, r"not found \(404\) in 4 tries; it was withdrawn.*materialise the date again"),
    ],
)
def test_tries_are_bounded_and_the_error_says_whether_later_may_help(server, code, kind, says):
    server.faults["/search"].extend([status(code)] * 9)
    with pytest.raises(kind, match=says) as raised:
        HttpService(QUICK).json(f"{server.url}/search")
    assert type(raised.value) is kind
    assert len(server.seen) == 4


@pytest.mark.parametrize("kind", ["reset", "stall", "truncate", "shorter"])
def test_broken_answers_are_asked_for_again(server, kind):
    server.faults["/search"].extend([Fault(kind, at=3), Fault(kind, at=0)])
    assert HttpService(QUICK).json(f"{server.url}/search") == {"value": [1, 2]}
    assert len(server.seen) == 3


def test_answer_of_which_hardly_anything_comes_is_asked_for_again(server):
    # A byte each 0.05 s: the whole of it would take 0.8 s, and never 0.3 s without a word.
    server.faults["/search"].append(Fault("drip", at=0))
    assert HttpService(QUICK).json(f"{server.url}/search") == {"value": [1, 2]}
    assert len(server.seen) == 2


def test_packed_answer_is_unpacked(server):
    packed = Answer(body=gzip.compress(b'{"value": "' + b"x" * 10**6 + b'"}'))
    server.routes["/packed"] = lambda request: replace(packed, headers={"Content-Encoding": "gzip"})
    assert HttpService(QUICK).json(f"{server.url}/packed") == {"value": "x" * 10**6}


def test_nobody_listening_is_worth_another_try_later():
    with LoopbackServer() as server:
        gone = server.url
    with pytest.raises(TransientError, match=r"/x: connection refused; given up after 4 tries"):
        HttpService(QUICK).json(f"{gone}/x")


def test_the_wait_that_a_service_asks_for_is_respected_up_to_the_longest(server):
    server.faults["/search"].extend(
        [status(429, **{"Retry-After": "1"}), status(503, **{"Retry-After": "x"})]
    )
    begun = time.monotonic()
    HttpService(QUICK.model_copy(update={"longest_wait_s": 9})).json(f"{server.url}/search")
    assert 1 <= time.monotonic() - begun < 5
    server.faults["/search"].append(status(429, **{"Retry-After": "3600"}))
    begun = time.monotonic()
    HttpService(QUICK).json(f"{server.url}/search")
    assert time.monotonic() - begun < 1


def test_waits_double_and_are_jittered(server, monkeypatch):
    waits, here = [], threading.get_ident()

    def note(wait_s: float) -> None:
        # The clock's `sleep` is everybody's: only this thread's waits are the service's.
        if threading.get_ident() == here:
            waits.append(wait_s)

    monkeypatch.setattr("tenacity.nap.time.sleep", note)
    server.faults["/search"].extend([status(503)] * 9)
    settings = QUICK.model_copy(update={"attempts": 7, "first_wait_s": 2, "longest_wait_s": 20})
    with pytest.raises(TransientError):
        HttpService(settings).json(f"{server.url}/search")
    for wait, least in zip(waits, (2, 4, 8, 16, 20, 20), strict=True):
        assert least <= wait <= least + 2
    assert len(set(waits)) == 6


def test_refused_credentials_are_renewed_once(server):
    asked = []

    def authorise(refused):
        asked.append(refused)
        return {"Authorization": f"Bearer {SECRET}{len(asked)}"}

    server.faults["/search"].append(status(401))
    assert HttpService(QUICK, authorise).json(f"{server.url}/search")
    assert asked == [False, True]
    assert server.seen[-1].headers["authorization"] == f"Bearer {SECRET}2"
    server.faults["/search"].extend([status(401)] * 9)
    with pytest.raises(AccountError, match="credentials refused"):
        HttpService(QUICK, authorise).json(f"{server.url}/search")
    assert asked[2:] == [False, True]


def redirect(target, code=302):
    return lambda request: Answer(code, b"", {"Location": target})


def test_credentials_follow_a_redirect_on_the_same_host_only(server, tmp_path, monkeypatch):
    # Credentials in ~/.netrc, which requests would use by itself, are not ours to send either.
    (tmp_path / ".netrc").write_text(f"default login me password {SECRET}\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    service = HttpService(QUICK, lambda refused: {"Authorization": f"Bearer {SECRET}"})
    server.routes["/near"] = redirect("/search")
    server.routes["/far"] = redirect(f"http://localhost:{server.port}/search")
    with LoopbackServer() as other:
        other.routes["/search"] = server.routes["/search"]
        server.routes["/other-port"] = redirect(f"{other.url}/search")
        for path in ("near", "far", "other-port"):
            assert service.json(f"{server.url}/{path}") == {"value": [1, 2]}
        assert "authorization" not in other.seen[-1].headers
    near, far = (request for request in server.seen if request.path == "/search")
    assert near.headers["authorization"] == f"Bearer {SECRET}"
    assert "authorization" not in far.headers
    assert HttpService(QUICK).json(f"{server.url}/search")
    assert "authorization" not in server.seen[-1].headers


def test_a_form_is_posted_and_never_carried_on_by_a_redirect(server):
    server.routes["/token"] = lambda request: Answer(body=json.dumps({"got": request.body.decode()}).encode())
    fields = {"username": "me", "password": SECRET}
    answer = HttpService(QUICK).post_form(f"{server.url}/token", fields)
    assert answer == {"got": f"username=me&password={SECRET}"}
    server.routes["/moved"] = redirect(f"{server.url}/token", 307)
    before = len(server.seen)
    with pytest.raises(RefusedError, match="/moved: answered 307"):
        HttpService(QUICK).post_form(f"{server.url}/moved", fields)
    assert [request.path for request in server.seen[before:]] == ["/moved"]


@pytest.mark.parametrize(
    "target", ["http://example.com/x", "http://10.0.0.1/x", "ftp://localhost/x", "file:///x"]
)
def test_only_https_leaves_this_machine(server, target):
    with pytest.raises(CatalogueError, match=r"not an https address; nothing was sent"):
        HttpService(QUICK).json(target)
    server.routes["/away"] = redirect(target)
    with pytest.raises(CatalogueError, match=r"not an https address; nothing was sent"):
        HttpService(QUICK).json(f"{server.url}/away")


def test_endless_redirects_are_an_error_at_once(server):
    server.routes["/loop"] = redirect("/loop")
    with pytest.raises(CatalogueError, match=r"/loop: it leads nowhere \(TooManyRedirects\)"):
        HttpService(QUICK).json(f"{server.url}/loop")
    assert len(server.seen) == 31


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "chain.pem"
    options = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    try:
        command = ["openssl", *options.split(), "-keyout", str(key), "-out", str(chain)]
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl, which makes the certificate of this test, is not installed")
    return str(chain), str(key)


def test_a_certificate_nobody_signed_is_refused_and_nothing_sent(certificate, monkeypatch):
    with LoopbackServer(certificate) as server:
        service = HttpService(QUICK, lambda refused: {"Authorization": SECRET})
        with pytest.raises(
            CatalogueError, match=r"TLS certificate cannot be verified.*REQUESTS_CA_BUNDLE"
        ) as raised:
            service.json(f"{server.url}/search")
        assert not isinstance(raised.value, TransientError)
        assert server.seen == []
        server.routes["/search"] = lambda request: Answer(body=b"[]")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])
        assert service.json(f"{server.url}/search") == []


def test_https_never_leads_to_http(certificate, server, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])
    with LoopbackServer(certificate) as secure:
        secure.routes["/away"] = redirect(f"{server.url}/search")
        with pytest.raises(CatalogueError, match="not an https address"):
            HttpService(QUICK).json(f"{secure.url}/away")
    assert server.seen == []


@pytest.mark.parametrize("code", [None, 400, 404, 503])
def test_queries_fields_and_headers_are_in_no_log_and_no_error(server, caplog, code):
    caplog.set_level(logging.DEBUG)
    # The client of Kubernetes, where a test has used it, quietens this one for good.
    caplog.set_level(logging.DEBUG, logger="urllib3")
    server.routes["/signed"] = redirect(f"/search?signature={SECRET}")
    server.routes["/token"] = lambda request: Answer(body=b"no JSON" if code else b"{}")
    service = HttpService(QUICK, lambda refused: {"Authorization": SECRET})
    texts = []
    for path in ("/search", "/signed", "/token"):
        if code:
            server.faults["/search"].extend([status(code)] * 4)
        try:
            if path == "/token":
                service.post_form(f"{server.url}/token", {"password": SECRET})
            else:
                service.json(f"{server.url}{path}", {"token": SECRET})
        except CatalogueError as error:
            texts.append("".join(traceback.format_exception(error)))
    try:
        service.json("http://127.0.0.1:1/nobody", {"token": SECRET})
    except TransientError as error:
        texts.append("".join(traceback.format_exception(error)))
    assert len(texts) == (4 if code else 1)
    assert any(f"token={SECRET}" in request.query for request in server.seen)
    assert "/search" in caplog.text
    assert SECRET not in caplog.text + repr(service) + "".join(texts)
