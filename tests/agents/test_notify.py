"""Messages to people elsewhere: what they say, when, and that nothing of it disturbs a search."""

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from doctor_bench import ROOT, doctor, write_config

from agents import notify
from agents.config.model import NotifySettings
from agents.journal import Journal
from agents.notify import Message, Notifier, deliver
from agents.progress import Progress, Waiting
from scheduler.transports import child

WRITE = """\
import os, pathlib, sys
place = pathlib.Path(sys.argv[1])
number = len(list(place.iterdir()))
text = sys.argv[2] + "|" + os.environ["PILOTHOUSE_EVENT"] + "|" + sys.stdin.read()
(place / f"{number:02d}.new").write_text(text)
(place / f"{number:02d}.new").rename(place / f"{number:02d}")
"""


@pytest.fixture
def box(tmp_path):
    """Where the command leaves its messages, and the command."""
    place = tmp_path / "box"
    place.mkdir()
    return place, [sys.executable, "-S", "-c", WRITE, str(place), "{subject}"]


class Bench:
    def __init__(self, tmp_path, command, after=60.0):
        self.said = []
        settings = None if command is None else NotifySettings(command=command, after=after)
        self.notifier = Notifier(
            settings,
            "small",
            tmp_path / "run",
            Journal(tmp_path / "log"),
            self.said.append,
            ["KEY"],
        )

    def show(self, what=None, minutes=0.0, remedy=""):
        since = datetime.now(UTC) - timedelta(minutes=minutes)
        waiting = Waiting(what, "why it is", remedy, since) if what else None
        self.notifier.show(
            Progress("small", 1, 2, "accuracy_auc", 60.0, trials={"completed": 3}, waiting=waiting)
        )
        return waiting

    def again(self, waiting):
        self.notifier.show(Progress("small", 1, 2, "accuracy_auc", 60.0, waiting=waiting))


def messages(place):
    return [path.read_text() for path in sorted(place.iterdir())]


def test_a_wait_is_told_once_when_it_lasts_and_its_end_too(tmp_path, box):
    place, command = box
    bench = Bench(tmp_path, command)
    bench.show("ssh login", minutes=0.5, remedy="connect $(now)")
    waiting = bench.show("ssh login", minutes=2, remedy="connect $(now)")
    bench.again(waiting)
    bench.show()
    bench.show("scheduler", minutes=0.5)
    bench.show()
    bench.notifier.close()
    first, second = messages(place)
    assert first.startswith("pilothouse small: waits for ssh login|waiting|pilothouse small: waits")
    assert "for ssh login: why it is\nto go on: connect $(now)\n" in first
    assert f"run directory: {tmp_path / 'run'} on " in first
    assert "trials: 3 completed\nbest: none yet" in first
    assert second.startswith("pilothouse small: no longer waits for ssh login|goes_on|")
    assert bench.said == []


def test_another_wait_is_told_anew(tmp_path, box):
    bench = Bench(tmp_path, box[1])
    bench.show("ssh login", minutes=2)
    bench.show("scheduler", minutes=3)
    bench.notifier.close()
    events = [text.split("|")[1] for text in messages(box[0])]
    assert events == ["waiting", "goes_on", "waiting"]


def test_a_notice_is_told_once(tmp_path, box):
    bench = Bench(tmp_path, box[1])
    for _ in range(2):
        bench.notifier.notice("the LLM is away:\nthe login has ended\x1b[31m")
    bench.notifier.close()
    (text,) = messages(box[0])
    assert text.startswith("pilothouse small: the LLM is away:; the login has ended|notice|")
    assert "\x1b" not in text


def test_a_second_outage_is_told_though_its_words_are_those_of_the_first(tmp_path, box):
    bench = Bench(tmp_path, box[1])
    for text in ("the LLM is away", "the LLM proposes again", "the LLM is away"):
        bench.notifier.notice(text)
    bench.notifier.close()
    assert len(messages(box[0])) == 3


def test_without_a_command_nobody_is_told_and_nothing_is_begun(tmp_path):
    bench = Bench(tmp_path, None)
    before = threading.active_count()
    bench.show("ssh login", minutes=2)
    bench.notifier.notice("something")
    bench.notifier.ended("ended", ["all of it"])
    assert threading.active_count() == before
    bench.notifier.close()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/nonexistent/mail"], "No such file"),
        (["sh", "-c", "echo no route >&2; exit 3"], "sh ended with exit code 3: no route"),
        (["sh", "-c", "sleep 600"], "sh did not end within"),
    ],
)
def test_a_command_that_fails_is_said_and_ends_nothing(tmp_path, monkeypatch, command, why):
    monkeypatch.setattr(notify, "LIMIT_SECONDS", 0.5)
    bench = Bench(tmp_path, command)
    bench.notifier.broke_off("error")
    bench.notifier.close()
    (said,) = bench.said
    assert said.startswith("note: nobody was told (notify.command): ")
    assert why in said


def test_the_search_s_end_does_not_wait_for_a_command_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "CLOSING_SECONDS", 0.1)
    gate = tmp_path / "gate"
    bench = Bench(tmp_path, ["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done"])
    bench.notifier.ended("ended", ["best: trial 1"])
    bench.notifier.close()
    assert bench.said == []
    gate.touch()


def test_keys_of_the_search_are_not_the_command_s(tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "sk-secret")
    monkeypatch.setenv("OTHER", "seen")
    out = tmp_path / "out"
    bench = Bench(tmp_path, ["sh", "-c", f"env > {out}"])
    bench.notifier.left("SIGTERM")
    bench.notifier.close()
    environment = out.read_text()
    assert "OTHER=seen" in environment
    assert "sk-secret" not in environment


def test_what_a_subject_holds_is_one_argument(tmp_path):
    subject = "a $(touch pwned) `id` ; \"b\" 'c'"
    out = tmp_path / "out"
    why = deliver(
        ["sh", "-c", 'printf %s "$1" > "$2"', "sh", "{subject}", str(out)],
        Message("test", subject, "text"),
    )
    assert why is None
    assert out.read_text() == subject


def test_doctor_looks_for_the_command_and_runs_it_when_asked(tmp_path, box):
    (tmp_path / "tell.py").write_text(WRITE)
    command = f"[{sys.executable}, -S, {tmp_path}/tell.py, {box[0]}, '{{subject}}']"
    config = write_config(tmp_path, extra=f"notify: {{command: {command}}}")
    code, found = doctor(config)
    assert (code, found["notification"]["outcome"], messages(box[0])) == (0, "ok", [])
    code, found = doctor(config, "--notify")
    assert (code, found["notification"]["outcome"]) == (0, "ok")
    (text,) = messages(box[0])
    assert text.startswith("pilothouse examined: a test|test|")
    config = write_config(tmp_path, extra="notify: {command: [no_such_mailer]}")
    code, found = doctor(config)
    assert (code, found["notification"]["outcome"]) == (1, "failed")
    assert "no_such_mailer" in found["notification"]["seen"]
    assert "notification" not in doctor(write_config(tmp_path))[1]


@pytest.mark.parametrize(("path", "key"), [("/services/T0/B0/x", "text"), ("/ntfy/mine", None)])
def test_the_example_posts_the_message(monkeypatch, path, key):
    received = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            assert "urllib" not in self.headers["User-Agent"]
            received.append((self.path, json.loads(body)[key] if key else body))
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Chat) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("NOTIFY_URL", f"http://127.0.0.1:{server.server_port}{path}")
        monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
        why = deliver(
            [sys.executable, str(ROOT / "examples" / "notify" / "webhook.py")],
            Message("ended", "pilothouse small: ended", "best: trial 3 \u2713"),
        )
    assert why is None
    assert received == [(path, "pilothouse small: ended\n\nbest: trial 3 \u2713\n")]


def test_the_way_to_go_on_is_told_once(tmp_path, box):
    bench = Bench(tmp_path, box[1])
    way = f"to go on: python -m agents.run --resume {tmp_path / 'run'}"
    for error in (f"OSError: full\n  {way}", "the ledger is lost"):
        bench.notifier.broke_off(error)
    bench.notifier.close()
    assert [text.count(way) for text in messages(box[0])] == [1, 1]


def test_a_command_that_prints_without_end_is_ended_and_named(monkeypatch):
    monkeypatch.setattr(child, "MAX_OUTPUT_BYTES", 1 << 16)
    why = deliver(["yes"], Message("test", "subject", "text"))
    assert why == "yes prints without end, and was ended"
