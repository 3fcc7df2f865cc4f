"""docs/troubleshooting.md speaks of messages that there are, and errors say what to type."""

import re
import signal
from pathlib import Path

import pytest
from doctor_bench import ROOT, run, write_config

from agents.errors import ConfigurationError, LedgerError, RunLocked
from agents.last_words import exit_code
from scheduler.job import Cause

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
SECTIONS = PAGE.partition("## Messages")[2].partition("## One experiment")[0]
MESSAGES = re.findall(r"^\| `([^`]+)` \|", SECTIONS, re.MULTILINE)


def literals():
    """All source text, with strings that are written in pieces put together."""
    files = [path for name in ("agents", "scheduler") for path in (ROOT / name).rglob("*.py")]
    text = "\n".join(path.read_text() for path in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)


SOURCE = literals()


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_is_in_the_program(message):
    for part in message.split("…"):
        assert part.strip() in SOURCE


def test_every_cause_of_a_failure_is_on_the_page():
    for cause in Cause:
        assert f"`{cause.value}`" in SECTIONS


def test_the_exit_codes_are_those_of_the_page():
    assert exit_code(ConfigurationError("x")) == 2
    assert exit_code(RunLocked("x")) == 3
    assert exit_code(LedgerError("x")) == 1
    for code in (0, 1, 2, 3, 128 + signal.SIGINT):
        assert re.search(rf"^\| [0-9, ]*\b{code}\b", PAGE, re.MULTILINE)


def test_an_error_of_something_away_says_what_to_type(tmp_path):
    (tmp_path / "ssh_config").write_text("Host nowhere\n  HostName 127.0.0.1\n  Port 1\n")
    transport = f"{{kind: ssh, host: nowhere, config_file: {tmp_path}/ssh_config}}"
    config = write_config(tmp_path, cluster=f"cluster: {{transport: {transport}, remote_base: /x}}",
                          training="training: {command: ['true']}")  # fmt: skip
    done = run("connect", "--config", config)
    assert done.returncode == 1
    assert "error: cannot reach" in done.stderr
    assert "to go on: ssh nowhere" in done.stderr
    done = run("submit", "--config", config)
    assert done.returncode == 1
    assert "to go on: python -m agents.run connect --config" in done.stderr
    assert "harvest" in done.stdout


def test_the_line_to_type_holds_in_any_directory(tmp_path, monkeypatch):
    from agents.config import load
    from agents.search import connect_command

    monkeypatch.chdir(tmp_path)
    Path("far.yaml").write_text(
        "experiment: {id: far}\nsearch_space: {x: {type: float, low: 0, high: 1}}\n"
        'training: {command: ["true", "{hyperparameters}"]}\n'
    )
    assert connect_command(load(Path("far.yaml"))).endswith(f"--config {tmp_path / 'far.yaml'}")
