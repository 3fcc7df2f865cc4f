"""A real HTTP server on loopback with Globus Auth's token endpoints (RFC 6749, 7636, 7009)."""

import base64
import hashlib
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

CODE = "a-code-from-the-browser"
REFRESH = "refresh-1-secret"
SCOPE = "https://auth.globus.org/scopes/681c10cc-f684-4540-bcd7-0b4df3bc26ef/action_all"


class GlobusServer:
    """Use as a context manager. Attributes say how it behaves."""

    def __init__(self):
        self.lasts = 48 * 3600
        """Seconds of an access token."""
        self.fails_with = None
        """An HTTP status with which every request fails."""
        self.forgotten = False
        """The refresh token is no longer good: the person has to come again."""
        self.says = None
        """Status and text with which every request is answered: another service."""
        self.challenge = None
        self.asked = []
        """The grant types of all requests, in order."""
        self.good = set()
        """Access tokens that are valid."""
        self._number = itertools.count(1)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/"

    def __enter__(self):
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._thread.is_alive():
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()

    def answer(self, path, form):
        """Status and document."""
        if self.fails_with is not None:
            return self.fails_with, {"error": "unavailable"}
        if path == "/v2/oauth2/token/revoke":
            self.asked.append("revoke")
            self.good.discard(form["token"])
            return 200, {"active": False}
        if path != "/v2/oauth2/token":
            return 404, {"error": "no such place"}
        self.asked.append(form["grant_type"])
        if form["grant_type"] == "authorization_code":
            return self._first(form)
        if self.forgotten or form.get("refresh_token") != REFRESH:
            return 400, {"error": "invalid_grant"}
        return 200, {**self._tokens(), "other_tokens": []}

    def _first(self, form):
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if form.get("code") != CODE or self.challenge not in (None, proof):
            return 400, {"error": "invalid_grant"}
        claims = base64.urlsafe_b64encode(
            json.dumps({"preferred_username": "ada@alcf.anl.gov"}).encode()
        ).decode()
        openid = {
            "access_token": "openid-token", "scope": "openid profile email", "expires_in": 3600,
            "resource_server": "auth.globus.org", "token_type": "Bearer",
        }  # fmt: skip
        return 200, {
            **openid,
            "id_token": f"x.{claims.rstrip('=')}.y",
            "other_tokens": [self._tokens()],
        }

    def _tokens(self):
        token = f"access-secret-{next(self._number)}"
        self.good.add(token)
        return {
            "access_token": token, "refresh_token": REFRESH, "scope": SCOPE,
            "expires_in": self.lasts, "token_type": "Bearer",
            "resource_server": "681c10cc-f684-4540-bcd7-0b4df3bc26ef",
        }  # fmt: skip

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: values[0] for key, values in parse_qs(text).items()}
                status, document = server.answer(self.path, form)
                data, kind = json.dumps(document).encode(), "application/json"
                if server.says is not None:
                    status, page = server.says
                    data, kind = page.encode(), "text/html"
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                return

        return Handler
