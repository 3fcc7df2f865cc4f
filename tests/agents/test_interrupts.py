"""Signals that find the search busy."""

import signal

import pytest
from quick_search import write_quick_search

from agents.commands.search import SearchOptions, choose
from agents.commands.search import _run as run_it
from agents.interrupts import Interrupted, Interrupts


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("agents.interrupts.LATE_SECONDS", 0.01)


def busy_until(is_told):
    """No rest of ours: what a slow answer looks like."""
    for _ in range(1000):
        if is_told():
            break
        signal.sigtimedwait([], 0.01)


def test_who_asks_to_leave_while_a_question_is_on_its_way_is_told():
    told = []
    with Interrupts() as interrupts:
        interrupts.late = lambda: told.append("late")
        signal.raise_signal(signal.SIGINT)
        busy_until(lambda: told)
        assert told == ["late"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_who_can_leave_at_once_is_told_nothing():
    told = []
    with Interrupts() as interrupts:
        interrupts.late = lambda: told.append("late")
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            interrupts.sleep(60.0)
        signal.sigtimedwait([], 0.05)
    assert told == []
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_who_insists_is_told_what_it_waits_for_and_the_way_on(tmp_path, capsys):
    loaded, workspace = choose(SearchOptions(config=write_quick_search(tmp_path)))
    said = []

    def is_told():
        said.append(capsys.readouterr().out)
        return "leaving as soon as" in said[-1]

    def busy():
        signal.raise_signal(signal.SIGINT)
        busy_until(is_told)
        signal.raise_signal(signal.SIGINT)

    assert run_it(loaded, workspace, "info", busy) == 130
    assert "Ctrl-C again" in "".join(said)
    assert f"python -m agents.run --resume {workspace.directory}" in capsys.readouterr().out
    assert not workspace.is_held
