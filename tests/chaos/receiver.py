"""Who is told: takes messages over HTTP, keeps each on disk before it says so. `python -m tests.chaos.receiver PORT FILE`."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    """One line of JSON for each message that came."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        line = json.dumps({"key": self.headers["idempotency-key"], "word": body["word"], "rule": body["rule"], "alarm": body["alarm"]})
        with Path(sys.argv[2]).open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the file says it."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
