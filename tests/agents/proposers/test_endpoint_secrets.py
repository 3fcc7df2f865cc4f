"""A key, a password and a login's tokens, planted where they can be recognized, go nowhere: a server
that fails in every way, and repeats what it was shown each time, gets them into no file, no screen
and no process list."""

import json
import os
import random
import re
import string
import subprocess
import sys
import threading
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import forked
import pytest
from endpoint_run import PROGRAM, ROOT, command, run_of, spread, write_config
from openai_server import Answer, OpenAiServer, completion, error, in_text, proposals, reset

sys.path.insert(0, str(Path(__file__).parents[1] / "auth"))
from globus_server import CODE, REFRESH, GlobusServer

from agents.auth.globus import GlobusLogin
from agents.auth.identity import PRESETS
from agents.commands.explain import explain

PIECE = 10
"""So many characters of a secret in a row are a leak."""
FORMAT_MARKS = "\"\\'/+%&<>=~{}$"
"""Each is written differently in some format: what stands between them has to be found anyway."""

# What a job sees of the process list.
SPYING = (
    PROGRAM
    + """\
import glob
seen = [open(path, "rb").read() for path in glob.glob("/proc/[0-9]*/cmdline") if os.path.exists(path)]
open("process_list", "wb").write(b"\\n".join(seen))
"""
)


def planted(chance, length=24):
    """A secret of two long plain pieces, with every awkward mark between them."""
    letters = string.ascii_letters + string.digits
    plain = ["".join(chance.choice(letters) for _ in range(length)) for _ in range(2)]
    return f"sk-{plain[0]}{FORMAT_MARKS}{plain[1]}"


def pieces(secret):
    """What of a secret can be recognized in any format."""
    runs = re.findall(rf"[A-Za-z0-9_-]{{{PIECE},}}", secret)
    found = {run[place : place + PIECE] for run in runs for place in range(len(run) - PIECE + 1)}
    assert found, secret
    return {piece.encode() for piece in found}


def leaks(secrets, data):
    return sorted({piece for secret in secrets for piece in pieces(secret) if piece in data})


def page(status, text, **headers):
    return lambda _: Answer(text, status, headers, "text/html")


def faults(shown, chance):
    """What a server may do with what it was shown, in many ways."""
    pad = "x" * chance.randrange(60, 240)  # so that it stands where messages are cut
    point = {"x": round(chance.random(), 3), "y": round(chance.random(), 3)}
    for status in (400, 401, 402, 403, 404, 422, 429, 500, 503):
        yield error(status, f"{pad} {shown} is not welcome")
        yield page(status, f"<html><title>{pad}{shown}</title><p>{shown}</html>")
    yield page(200, f"<html><title>{shown}</title></html>")
    yield page(302, "", Location=f"/login?token={quote(shown)}")
    yield reset
    yield in_text(f"{pad[:60]} your key is {shown}")
    yield in_text("", refusal=f"not with {shown}")
    yield in_text("", finish_reason=shown)
    yield in_text(proposals(point, rationale=f"{'y' * chance.randrange(440, 495)} {shown}"))
    yield in_text(proposals({**point, "x": shown}))
    yield in_text(proposals({**point, shown: 1}))
    yield in_text(json.dumps({"proposals": [{"parameters": point}], "stop": f"{pad} {shown}"}))
    yield lambda _: Answer({"error": {"message": {"deep": [shown]}}}, 418)
    yield lambda _: Answer({"choices": [{"message": {"role": shown, "content": shown}}]})
    yield lambda _: Answer(completion(tool_arguments=f'{{"unreadable {shown}'))
    yield lambda _: Answer(completion(tool_arguments=json.dumps({"note": shown})))


class Gossip(OpenAiServer):
    """Repeats what it is shown, in another way each time; every third answer is a good one."""

    def __init__(self, seed, is_good=lambda shown: True):
        super().__init__(None)
        self.chance = random.Random(seed)
        self.is_good = is_good
        self.shown = set()
        self.waiting = []

    def told(self, headers):
        shown = headers.get("Authorization", "").removeprefix("Bearer ")
        self.shown.add(shown)
        return shown

    def lets_in(self, headers):
        return self.is_good(self.told(headers))

    def answer(self, headers, body):
        shown = self.told(headers)
        self.requests.append(body)
        if not self.is_good(shown):
            return error(401, f"{shown} has ended")(body)
        if "auto" in str(body.get("tool_choice")):
            call = {"name": f"trial {shown}", "arguments": json.dumps({"number": shown})}
            calls = [{"id": shown, "type": "function", "function": call}]
            return Answer(completion(shown, tool_calls=calls, finish_reason="tool_calls"))
        if len(self.requests) % 3 == 0:
            point = spread(len(self.requests))
            return Answer(completion(proposals(point, rationale=f"thanks for {shown}")))
        if not self.waiting:
            self.waiting = list(faults(shown, self.chance))
            self.chance.shuffle(self.waiting)
        return self.waiting.pop()(body)

    def listed(self, headers):
        shown = self.told(headers)
        return Answer({"object": "list", "data": [{"id": f"model {shown}", "object": "model"}]})


class Watcher:
    """Reads the process list of this machine while something runs."""

    def __init__(self):
        self.seen = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    self.seen.add((process / "cmdline").read_bytes())
                except OSError:
                    continue


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def everything_shown(config):
    """All that a search leaves and that its commands say, each with its name."""
    done = subprocess.run(
        command("--config", config, "--log-level", "debug"), cwd=ROOT, capture_output=True,
        env=dict(os.environ), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    run = run_of(config)
    yield "the screen", done.stdout + done.stderr
    for words in (("config", "show", config), ("status", run), ("doctor", "--config", config)):
        told = forked.command(words)
        yield words[0], (told.stdout + told.stderr).encode()
    for number in range(len(list(run.glob("job_*")))):
        yield f"explain {number}", explain(run, number, as_json=False).encode()
    for path in config.parent.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
            yield f"the name of {path}", str(path).encode()


def assert_nothing_leaks(config, secrets, watcher):
    found = {name: leaks(secrets, data) for name, data in everything_shown(config)}
    assert len(list(config.parent.rglob("process_list"))) > 3
    found["the process list"] = leaks(secrets, b"\n".join(watcher.seen))
    assert {name: some for name, some in found.items() if some} == {}


def test_a_key_goes_nowhere(tmp_path, monkeypatch):
    key = planted(random.Random(1))
    monkeypatch.setenv("PLANTED_KEY", key)
    with Gossip(1) as server, Watcher() as watcher:
        config = write_config(
            tmp_path, server.url, 20, llm="  api_key_env: PLANTED_KEY", program=SPYING
        )
        config.write_text(config.read_text().replace("calls: 0", "calls: 3"))
        assert_nothing_leaks(config, [key], watcher)
    assert server.shown == {key}
    assert len(server.requests) > 12


def test_a_password_in_the_address_goes_nowhere(tmp_path, monkeypatch):
    password = planted(random.Random(2))
    monkeypatch.setenv("PLANTED_PASSWORD", quote(password, safe=""))
    with Gossip(2) as server, Watcher() as watcher:
        url = server.url.replace("http://", "http://me:${PLANTED_PASSWORD}@")
        config = write_config(tmp_path, url, 20, program=SPYING)
        sent = b64encode(f"me:{password}".encode()).decode()
        assert_nothing_leaks(config, [password, sent], watcher)
    assert server.shown == {f"Basic {sent}"}


def test_the_tokens_of_a_login_go_nowhere(tmp_path, monkeypatch):
    """Also those that were renewed while the search ran, and the refresh token, which the service
    itself repeats when it refuses it."""
    (tmp_path / "run").mkdir()

    with GlobusServer() as globus:
        monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", globus.url)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
        login = GlobusLogin(PRESETS["alcf"])
        login.begin()
        login.complete(CODE)
        answered = globus.answer

        def answer(path, form):
            if globus.forgotten:
                said = f"the token {form.get('refresh_token')} is unknown"
                return 400, {"error": "invalid_grant", "error_description": said}
            return answered(path, form)

        monkeypatch.setattr(globus, "answer", answer)

        class Ends(Gossip):
            """Withdraws each token after its eighth request, and in the end the login too."""

            def answer(self, headers, body):
                if len(self.requests) % 8 == 7:
                    globus.good.clear()
                    globus.forgotten = len(self.requests) > 20
                return super().answer(headers, body)

        with Ends(3, is_good=lambda shown: shown in globus.good) as server, Watcher() as watcher:
            llm = "  globus: {preset: alcf}"
            config = write_config(tmp_path / "run", server.url, 26, llm=llm, program=SPYING)
            assert_nothing_leaks(config, [REFRESH, *server.shown], watcher)
        assert len(server.shown) > 2
        assert globus.forgotten
