"""A web server on this machine that does what a test tells it to, faults included, and records what it saw.

A handler is a function from a request to an answer; that with the longest prefix of the path is asked. Faults
are queued by path, and each request to the path takes the next one.
"""

import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit

PIECE = 1 << 16


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")


@dataclass
class Answer:
    """What it gets; `body` is anything that has a length and gives bytes when sliced.

    A body with `length` other than its own announces that many bytes.
    """

    status: int = 200
    body: bytes | memoryview = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    `kind` is ``status`` (answered instead of the real answer), something that befalls the body at byte `at`:
    ``reset`` (the connection is reset), ``stall`` (nothing more is said), ``drip`` (a byte now and then),
    ``truncate`` (the connection closes in order, though more was announced), ``flip`` (one byte is another),
    ``shorter`` (and announced so), ``longer`` (and announced so), ``whole`` (the range asked for is ignored),
    or a kind of `on_fault`.
    """

    kind: str
    at: int = 0
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # Clients that are killed or lose patience are what tests are about.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


Handler = Callable[[Request], Answer]
TOO_MANY = Answer(429, b"Max session number 4 exceeded")


class LoopbackServer:
    """Serves `routes` on 127.0.0.1 while it is entered.

    Attributes:
        routes: Handlers by prefix of the path.
        limits: Answers that may be under way at once, by prefix; one more gets `TOO_MANY`.
        most_at_once: How many there ever were, by prefix.
        faults: Queued by path.
        on_fault: What happens, before the request is answered, at kinds of faults of the service's own.
        seen: All requests, in order of arrival.
        served: Bytes sent of bodies that were asked for, by path.
        pause_s: Before each piece of 64 KiB of a body.
    """

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        self.routes: dict[str, Handler] = {}
        self.limits: dict[str, int] = {}
        self.most_at_once: Counter[str] = Counter()
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.on_fault: dict[str, Callable[[], None]] = {}
        self.seen: list[Request] = []
        self.served: dict[str, int] = defaultdict(int)
        self.pause_s = 0.0
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._http = _Server(("127.0.0.1", 0), self._handler_class())
        self._scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self._scheme = "https"

    @property
    def port(self) -> int:
        return self._http.server_port

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> "LoopbackServer":
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: Request) -> tuple[Answer, Fault | None]:
        """The answer to a request and what goes wrong with its body."""
        queue = self.faults[request.path]
        try:
            fault = queue.popleft()
        except IndexError:
            fault = None
        if fault and fault.kind in self.on_fault:
            self.on_fault[fault.kind]()
        if fault and fault.kind == "status":
            return Answer(fault.status, b'{"detail": "injected"}', dict(fault.headers)), None
        if fault and fault.kind == "whole":
            headers = {name: value for name, value in request.headers.items() if name != "range"}
            request = Request(request.method, request.path, request.query, headers, request.body)
        prefix = self._prefix(request.path)
        answer = self.routes[prefix](request) if prefix else Answer(404, b'{"detail": "no route"}')
        return answer, fault if answer.status in (200, 206) else None

    @contextmanager
    def turn(self, path: str) -> Iterator[bool]:
        """Counts an answer as under way; whether it may be, by `limits`."""
        prefix = self._prefix(path)
        with self._lock:
            self._under_way[prefix] += 1
            under_way = self._under_way[prefix]
            self.most_at_once[prefix] = max(self.most_at_once[prefix], under_way)
        try:
            yield under_way <= self.limits.get(prefix, under_way)
        finally:
            with self._lock:
                self._under_way[prefix] -= 1

    def _prefix(self, path: str) -> str:
        return max((prefix for prefix in self.routes if path.startswith(prefix)), key=len, default="")

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class OneConnection(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                request = Request(self.command, unquote(parts.path), parts.query, headers, body)
                server.seen.append(request)
                try:
                    with server.turn(request.path) as allowed:
                        self._send(request, *(server.answer(request) if allowed else (TOO_MANY, None)))
                except (ConnectionError, TimeoutError, ssl.SSLError):
                    self.close_connection = True

            def _send(self, request: Request, answer: Answer, fault: Fault | None) -> None:
                body, kind = answer.body, fault.kind if fault else ""
                at = min(fault.at, max(len(body) - 1, 0)) if fault else 0
                if kind == "flip":
                    body = bytes(body[:at]) + bytes([body[at] ^ 0x10]) + bytes(body[at + 1 :])
                elif kind == "shorter":
                    body = body[:at]
                elif kind == "longer":
                    body = bytes(body) + b"\0" * (at + 1)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                broken = kind in ("reset", "stall", "truncate", "drip")
                self._write(request.path, body[:at] if broken else body, answer.status in (200, 206))
                while kind == "drip" and at < len(body) and not server._released.wait(0.05):
                    self._write(request.path, body[at : at + 1], answer.status in (200, 206))
                    at += 1
                if kind == "stall":
                    # Until the client loses patience and goes, or the test is over.
                    self.connection.settimeout(0.05)
                    while not server._released.is_set() and not self._gone():
                        pass
                if kind == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if broken:
                    self.close_connection = True

            def _write(self, path: str, body: bytes | memoryview, counted: bool) -> None:
                for start in range(0, len(body), PIECE):
                    # Not after the last piece: whoever has it may let another one ask.
                    time.sleep(server.pause_s)
                    piece = body[start : start + PIECE]
                    self.wfile.write(piece)
                    server.served[path] += len(piece) if counted else 0

            def _gone(self) -> bool:
                try:
                    return self.connection.recv(1) == b""
                except TimeoutError:
                    return False
                except OSError:
                    return True

        return OneConnection
