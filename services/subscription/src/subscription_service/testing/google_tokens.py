"""Where the service account gets its access tokens."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class TokenServer:
    """A real token endpoint: form in, token out.

    Attributes:
        tokens: What it gives out, the last one for ever.
        asked: How often it was asked.
        down: Whether it answers 503.
    """

    def __init__(self) -> None:
        self.tokens = ["ya29.good"]
        self.asked = 0
        self.down = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                outer.asked += 1
                good = not outer.down and form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
                token = outer.tokens.pop(0) if len(outer.tokens) > 1 else outer.tokens[0]
                answer = {"access_token": token, "expires_in": 3599, "token_type": "Bearer"} if good else {"error": "x"}
                body = json.dumps(answer).encode()
                self.send_response(200 if good else 400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
