"""A department's system on 127.0.0.1 for tests: real HTTP that answers what the test says, with the faults it asks for."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Question:
    """A request."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """An answer. keep_bytes: cut the connection after so many bytes of the body. after: an event to wait for before answering."""

    content: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    keep_bytes: int | None = None
    after: threading.Event | None = None

    @property
    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


@dataclass
class SourceServer:
    """faults: answered first, one a request. asked: every request so far."""

    answer: Callable[[Question], Reply]
    url: str = ""
    faults: deque[Reply] = field(default_factory=deque)
    asked: list[Question] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[Question], Reply]) -> Iterator[SourceServer]:
    """A server that answers by `answer`, until the block ends."""
    source = SourceServer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply("GET")

        def do_POST(self) -> None:
            self._reply("POST")

        def _reply(self, method: str) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            question = Question(method, parts.path, dict(parse_qsl(parts.query)), headers, body)
            source.asked.append(question)
            reply = source.faults.popleft() if source.faults else source.answer(question)
            if reply.after is not None:
                reply.after.wait(30)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body[: reply.keep_bytes])
            except OSError:
                self.close_connection = True
            if reply.keep_bytes is not None:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    source.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
