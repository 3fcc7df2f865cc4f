"""A proxy on loopback that hands requests on to a real server, and remembers them."""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Asked:
    """One chat completion: how its structure was asked for, and what the server said to that."""

    way: str
    status: int
    answer: dict


class Recorder:
    """Use as a context manager; `url` stands for the real server's."""

    def __init__(self, real):
        self.asked = []
        self._real = real.removesuffix("/v1")
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self):
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self):
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.hand_on(None)

            def do_POST(self):
                self.hand_on(self.rfile.read(int(self.headers["Content-Length"])))

            def hand_on(self, data):
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(recorder._real + self.path, data, headers)
                try:
                    with DIRECT.open(request) as answer:
                        status, body = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    status, body = error.code, error.read()
                if data is not None:
                    recorder.asked.append(Asked(way(json.loads(data)), status, json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                return

        return Handler


def way(body):
    if "response_format" in body:
        return "json_schema"
    return "tool" if "tools" in body else "text"
