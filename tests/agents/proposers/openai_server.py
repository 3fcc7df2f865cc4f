"""A real HTTP server on loopback that speaks the chat-completions protocol, by script.

Each request takes the next step of the script; the last step stays. A step is a function of the
request's body that returns an `Answer`. What a real server would refuse is refused before the
script is asked: a wrong key, an unknown model, a way of structured output that it does not know.
"""

import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

MODEL = "tiny-instruct"


@dataclass
class Answer:
    body: object = None
    status: int = 200
    headers: dict = field(default_factory=dict)
    content_type: str = "application/json"
    delay: float = 0.0
    close: bool = False
    """Reset the connection instead of answering."""
    drip: float = 0.0
    """Seconds for which a space is sent now and then before the body."""
    missing: int = 0
    """Bytes at the end of the body that never come."""


def completion(content=None, tool_arguments=None, finish_reason="stop", **message):
    """A chat completion as vLLM writes it."""
    said = {"role": "assistant", "content": content, **message}
    if tool_arguments is not None:
        function = {"name": "propose", "arguments": tool_arguments}
        said["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        finish_reason = "tool_calls"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": said, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


def says(content, **fields):
    """A step that answers with this text, in the way that was asked for."""

    def step(body):
        if "tools" in body:
            return Answer(completion(tool_arguments=content))
        return Answer(completion(content, **fields))

    return step


def in_text(content, **fields):
    """A step that answers in plain text, whatever was asked for."""
    return lambda body: Answer(completion(content, **fields))


def proposals(*points, rationale="because", expected=0.5):
    return json.dumps(
        {
            "proposals": [
                {"rationale": rationale, "parameters": point, "expected": expected}
                for point in points
            ]
        }
    )


def error(status, message="no", **headers):
    body = {"error": {"message": message, "type": "error", "code": status}}
    return lambda _: Answer(body, status, {k.replace("_", "-"): v for k, v in headers.items()})


def html(_):
    page = "<!doctype html><title>Sign in</title><p>Please log in"
    return Answer(page, content_type="text/html")


def slow(seconds):
    return lambda _: Answer(completion("late"), delay=seconds)


def dripping(seconds):
    return lambda _: Answer(completion("late"), drip=seconds)


def reset(_):
    return Answer(close=True)


class OpenAiServer:
    """Use as a context manager; `url` ends in /v1."""

    def __init__(self, *script, supports=("json_schema", "tool"), key=None, refuses_with=400):
        self.script = list(script)
        self.supports = supports
        self.key = key
        self.refuses_with = refuses_with
        self.requests = []
        self.queries = []
        """What stood behind the `?` of each question."""
        self.pages = {}
        """Answers to GET by path, beside the list of models."""
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

    def wrap(self, context):
        """Speak TLS, before it is entered."""
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = self.url.replace("http://", "https://")

    @property
    def methods(self):
        """How each request asked for its structure."""
        return [
            "json_schema" if "response_format" in body else "tool" if "tools" in body else "text"
            for body in self.requests
        ]

    def answer(self, headers, body):
        if not self.lets_in(headers):
            return error(401, f"Incorrect API key provided: {headers.get('Authorization')}")(body)
        self.requests.append(body)
        if body.get("model") != MODEL:
            return error(404, f"The model `{body.get('model')}` does not exist.")(body)
        fault = self.fault(body)
        if fault:
            return error(self.refuses_with, fault)(body)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return step(body)

    def listed(self, headers):
        """The answer to the question which models there are."""
        if not self.lets_in(headers):
            return error(401, "Incorrect API key provided")(None)
        models = [{"id": MODEL, "object": "model", "created": 1, "owned_by": "me"}]
        return Answer({"object": "list", "data": models})

    def lets_in(self, headers):
        return self.key is None or headers.get("Authorization") == f"Bearer {self.key}"

    def fault(self, body):
        """What a strict server would refuse in this request."""
        if not body.get("messages") or not all(
            isinstance(m.get("content"), str) and m.get("role") in ("user", "assistant", "system")
            for m in body["messages"]
        ):
            return "messages are malformed"
        roles = [m["role"] for m in body["messages"] if m["role"] != "system"]
        if any(one == other for one, other in pairwise(roles)):
            return "Conversation roles must alternate user/assistant/user/assistant/..."
        if "response_format" in body and "json_schema" not in self.supports:
            return "response_format is not supported"
        if "tools" in body and "tool" not in self.supports:
            return '"auto" tool choice requires --enable-auto-tool-choice to be set'
        if body.get("stream"):
            return "streaming is off"
        return None

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/v1/models":
                    self.send(server.listed(self.headers))
                elif self.path in server.pages:
                    self.send(server.pages[self.path])
                else:
                    self.send(error(404)(None))

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                path, _, query = self.path.partition("?")
                server.queries.append(query)
                if path != "/v1/chat/completions":
                    self.send(error(404, "Not Found")(body))
                    return
                self.send(server.answer(self.headers, body))

            def send(self, answer):
                time.sleep(answer.delay)
                if answer.close:
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    self.close_connection = True
                    return
                body = answer.body
                if not isinstance(body, bytes):
                    body = (body if isinstance(body, str) else json.dumps(body)).encode()
                drops = int(answer.drip / 0.05)
                data = b" " * drops + body
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", answer.content_type)
                    self.send_header("Content-Length", str(len(data)))
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for _ in range(drops):
                        self.wfile.write(b" ")
                        self.wfile.flush()
                        time.sleep(0.05)
                    self.wfile.write(data[drops : len(data) - answer.missing])
                    self.close_connection |= bool(answer.missing)
                except OSError:
                    self.close_connection = True

            def finish(self):
                try:
                    super().finish()
                except (OSError, ValueError):
                    return

            def log_message(self, *_):
                return

        return Handler
