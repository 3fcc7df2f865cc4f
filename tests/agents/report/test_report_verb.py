"""``report`` as a person types it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import forked
import pytest
from lab_ports import a_port
from report_runs import make_run

from agents.commands.dashboard import serve
from agents.commands.report import report
from agents.errors import ConfigurationError


def verb(*arguments, cwd=None):
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "40"}
    return forked.command(arguments, environment=environment, directory=cwd or os.getcwd())


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "a rün = of mine", 12)


def test_it_is_written_again_where_it_was(run, tmp_path):
    page = run / "reports" / "report.html"
    assert not page.exists()
    done = verb("report", run)
    assert (done.returncode, done.stdout) == (0, f"report: {page}\n")
    first = page.read_bytes()
    elsewhere = tmp_path / "here ö.html"
    assert verb("report", run, "--output", elsewhere).stdout == f"report: {elsewhere}\n"
    assert elsewhere.read_bytes() == first


def test_several_runs_are_compared(run, tmp_path):
    other = make_run(tmp_path / "other", 8)
    done = verb("report", run, other, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "report: comparison.html\n")
    assert "2 runs compared" in (tmp_path / "comparison.html").read_text()
    assert not (run / "reports" / "report.html").exists()


def test_a_broken_ledger_is_said_and_what_is_left_is_kept(run):
    (run / "study.db").write_bytes(b"no database" * 100)
    done = verb("report", run)
    assert done.returncode == 0, done.stderr
    assert "warning: the ledger cannot be read" in done.stdout
    assert "found without it: 12 trials" in done.stdout
    assert str(run / "recovered" / "study.db") in done.stdout
    assert f"--resume '{run}'" in done.stdout
    assert "Traceback" not in done.stderr
    assert (run / "reports" / "report.html").stat().st_size > 20_000
    assert (run / "study.db").read_bytes().startswith(b"no database")


def test_the_way_back_to_a_ledger_can_be_pasted(run, tmp_path):
    there = shutil.copytree(run, tmp_path / "my runs")
    (there / "study.db").write_bytes(b"no database" * 100)
    said = verb("report", there).stdout
    move = next(line for line in said.splitlines() if line.startswith("    mv "))
    subprocess.run(["sh", "-c", move], check=True)
    assert "warning" not in verb("report", there).stdout
    assert f"--resume '{there}'" in said


def test_scripts_are_told_in_json(run, tmp_path):
    told = json.loads(verb("report", run, "--json", "--output", tmp_path / "x.html").stdout)
    assert told == {"page": str(tmp_path / "x.html"), "said": [], "recovered": None}
    (run / "study.db").unlink()
    told = json.loads(verb("report", run, "--json").stdout)
    assert told["recovered"] == str(run / "recovered" / "study.db")
    assert any("found without it" in line for line in told["said"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "DIR"),
        (("nowhere",), "not a run directory"),
        (("RUN", "RUN", "--open-dashboard"), "one run directory"),
        (("RUN", "--output", "/nowhere/at/all.html"), "--output FILE"),
        (("RUN", "--output", "/"), "--output FILE"),
        (("RUN", "--port", "99999"), "--port"),
    ],
)
def test_bad_input_is_one_message_and_code_2(run, arguments, said):
    done = verb("report", *(run if a == "RUN" else a for a in arguments))
    assert done.returncode == 2
    assert said in re.sub(r"\s+", " ", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_report_that_cannot_take_its_place_says_so(run):
    (run / "reports" / "report.html").mkdir()
    with pytest.raises(ConfigurationError, match="cannot write"):
        report(run, None)


def test_without_the_dashboard_it_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(ConfigurationError, match="pip install optuna-dashboard"):
        serve(run, 8080, print)


def test_a_port_that_is_taken_is_said(run):
    pytest.importorskip("optuna_dashboard")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="--port"):
            serve(run, taken.getsockname()[1], print)


def test_the_dashboard_shows_the_study_until_ctrl_c(run):
    pytest.importorskip("optuna_dashboard")
    port = a_port()
    command = [sys.executable, "-m", "agents.run", "report", str(run), "--open-dashboard"]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # Where the tests run in a shell's background, SIGINT is ignored from birth.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        line = server.stdout.readline()
        assert f"http://127.0.0.1:{port}/dashboard/" in line
        assert run.name in answer(f"http://127.0.0.1:{port}/api/studies")
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(120) == 130


def answer(url, seconds=120):
    limit = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url) as response:
                return response.read().decode()
        except OSError:
            assert time.monotonic() < limit, "the dashboard does not answer"
            time.sleep(0.1)
