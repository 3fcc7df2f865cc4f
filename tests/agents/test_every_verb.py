"""Every verb on every kind of bad input: one message, a fitting exit code, no traceback, nothing lost."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from quick_search import write_quick_search

ROOT = Path(__file__).parents[2]
ON_A_RUN = {
    "status": ["status", "DIR"],
    "watch": ["watch", "DIR"],
    "report": ["report", "DIR"],
    "export": ["export", "DIR", "--format", "json"],
    "explain": ["explain", "DIR", "0"],
    "pause": ["pause", "DIR"],
    "continue": ["continue", "DIR"],
    "stop": ["stop", "DIR"],
    "cancel": ["cancel", "DIR", "--all"],
    "set": ["set", "DIR", "loop.max_iterations=9"],
    "add": ["add", "DIR", "x=0.5"],
    "forbid": ["forbid", "DIR", "x > 0.5"],
    "note": ["note", "DIR", "a word"],
    "resume": ["resume", "DIR"],
    "harvest": ["harvest", "DIR"],
    "list": ["list", "DIR"],
    "clean": ["clean", "DIR", "--dry-run"],
}
ON_A_CONFIGURATION = {
    "no verb": ["--config", "FILE"],
    "dry run": ["--config", "FILE", "--dry-run"],
    "render": ["render", "--config", "FILE"],
    "connect": ["connect", "--config", "FILE"],
    "disconnect": ["disconnect", "--config", "FILE"],
    "connection": ["connection", "--config", "FILE"],
    "doctor": ["doctor", "--config", "FILE"],
    "resources": ["resources", "--config", "FILE"],
    "queue": ["queue", "--config", "FILE"],
    "submit": ["submit", "--config", "FILE"],
    "auth status": ["auth", "status", "--config", "FILE"],
    "config check": ["config", "check", "FILE"],
    "config show": ["config", "show", "FILE"],
}


def run(words, columns="40"):
    environment = {**os.environ, "COLUMNS": columns, "NO_COLOR": "1"}
    return forked.command(words, environment=environment)


def run_from_nothing(words, columns="40"):
    """In a process that imports what it needs itself, as a person's does."""
    environment = {**os.environ, "COLUMNS": columns, "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "agents.run", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment,
        timeout=300,
    )  # fmt: skip


def on(words, place):
    return [place if word in ("DIR", "FILE") else word for word in words]


def is_told(done, codes):
    shown = done.stdout + done.stderr
    assert "Traceback" not in shown, shown
    assert done.returncode in codes, (done.returncode, shown)
    assert shown.strip(), "nothing was said"
    assert "\x1b[" not in shown
    return shown


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that came to its end, in a directory with a space and letters."""
    base = tmp_path_factory.mktemp("bäse of runs")
    done = run(["--config", write_quick_search(base)])
    assert done.returncode == 0, done.stderr
    (path,) = (each for each in (base / "results").glob("*_small") if not each.is_symlink())
    return path


def copy_of(finished, tmp_path):
    import shutil

    there = tmp_path / "a räther long näme"
    shutil.copytree(finished, there)
    return there


@pytest.mark.parametrize("verb", [v for v in ON_A_RUN if v not in ("list", "clean", "harvest")])
def test_no_run_is_there(verb, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "nothing", tmp_path / "empty"):
        shown = is_told(run(on(ON_A_RUN[verb], place)), {2})
        assert re.sub(r"\s", "", str(place)) in re.sub(r"\s", "", shown)


@pytest.mark.parametrize("verb", ON_A_RUN)
def test_the_home_of_nobody(verb):
    shown = is_told(run(on(ON_A_RUN[verb], "~nobody-of-that-name/x")), {2})
    assert "homedirectory~nobody-of-that-nameisnotknown" in re.sub(r"\s", "", shown)


@pytest.mark.parametrize("verb", ON_A_RUN)
def test_a_finished_run(verb, finished):
    is_told(run_from_nothing(on(ON_A_RUN[verb], finished)), {0, 1, 2})
    assert json.loads((finished / "summary.json").read_text())["counts"]["completed"] == 1
    assert not list((finished / "requests").glob("*")) if (finished / "requests").is_dir() else True


@pytest.mark.parametrize("verb", ON_A_RUN)
def test_a_run_of_another_version(verb, finished, tmp_path):
    there = copy_of(finished, tmp_path)
    card = json.loads((there / "run.json").read_text())
    (there / "run.json").write_text(json.dumps({**card, "schema": 99}))
    is_told(run(on(ON_A_RUN[verb], there)), {0, 1, 2})


@pytest.mark.parametrize("verb", ON_A_RUN)
def test_a_broken_ledger(verb, finished, tmp_path):
    there = copy_of(finished, tmp_path)
    (there / "study.db").write_bytes(b"this is no database" * 100)
    is_told(run(on(ON_A_RUN[verb], there)), {0, 1, 2})
    assert (there / "study.db").read_bytes().startswith(b"this is no")


def test_a_run_of_another_version_is_not_gone_on_with(finished, tmp_path):
    there = copy_of(finished, tmp_path)
    card = json.loads((there / "run.json").read_text())
    (there / "run.json").write_text(json.dumps({**card, "schema": 99}))
    assert "another version" in is_told(run(["resume", there]), {2})
    assert "of another version" in is_told(run(["report", there]), {0})


@pytest.mark.parametrize("left", [None, b""])
def test_a_run_whose_ledger_is_lost_does_not_begin_anew(left, finished, tmp_path):
    there = copy_of(finished, tmp_path)
    (there / "study.db").unlink()
    if left is not None:
        (there / "study.db").write_bytes(left)
    shown = is_told(run(["resume", there]), {1})
    assert "Nothing was started" in shown
    assert f"agents.run report '{there}'" in shown
    assert "found without it: 1 trial" in is_told(run(["report", there]), {0})


@pytest.mark.parametrize("verb", ON_A_CONFIGURATION)
def test_no_configuration_is_there(verb, tmp_path):
    shown = is_told(run(on(ON_A_CONFIGURATION[verb], tmp_path / "no such.yaml")), {2})
    assert "nosuch.yaml" in re.sub(r"\s", "", shown)


@pytest.mark.parametrize("verb", ON_A_CONFIGURATION)
def test_a_configuration_that_is_wrong(verb, tmp_path):
    (tmp_path / "wröng.yaml").write_text("experiment: {id: x}\nlop: {}\n")
    shown = is_told(run_from_nothing(on(ON_A_CONFIGURATION[verb], tmp_path / "wröng.yaml")), {2})
    assert "lop" in shown


@pytest.mark.parametrize(
    "verb", [*ON_A_RUN, *ON_A_CONFIGURATION, "run", "init", "graph", "auth login"]
)
def test_help_has_an_example(verb):
    words = {"no verb": [], "dry run": []}.get(verb, verb.split())
    shown = is_told(run_from_nothing([*words, "--help"], columns="100"), {0})
    assert "Example:" in shown
