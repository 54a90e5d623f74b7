"""A mail server on this machine that takes every mail and keeps it."""

import socketserver
import threading
from types import TracebackType


class FakeSmtp:
    """Serves on 127.0.0.1 while it is entered; `mails` are the raw messages."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        kept = self.mails

        class Conversation(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 loopback")
                while line := self.rfile.readline():
                    word = line[:4].upper().strip()
                    if word == b"DATA":
                        self._say("354 go on")
                        kept.append(self._until_dot())
                        self._say("250 taken")
                    elif word == b"QUIT":
                        self._say("221 bye")
                        return
                    else:
                        self._say("250 ok")

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

            def _until_dot(self) -> str:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line.decode())
                return "".join(lines)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def __enter__(self) -> "FakeSmtp":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
