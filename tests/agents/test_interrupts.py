"""Signals that find the search busy."""

import signal

import pytest
from quick_search import write_quick_search

from agents.commands.search import SearchOptions, choose
from agents.commands.search import _run as run_it
from agents.interrupts import Interrupted, Interrupts


def test_who_asks_to_leave_while_a_question_is_on_its_way_is_told(monkeypatch):
    monkeypatch.setattr("agents.interrupts.LATE_SECONDS", 0.01)
    told = []
    with Interrupts() as interrupts:
        interrupts.late = lambda: told.append("late")
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):  # no rest of ours: what a slow answer looks like
            if told:
                break
            signal.sigtimedwait([], 0.01)
        assert told == ["late"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_who_can_leave_at_once_is_told_nothing(monkeypatch):
    monkeypatch.setattr("agents.interrupts.LATE_SECONDS", 0.01)
    told = []
    with Interrupts() as interrupts:
        interrupts.late = lambda: told.append("late")
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            interrupts.sleep(60.0)
        signal.sigtimedwait([], 0.05)
    assert told == []
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_who_insists_is_told_what_it_waits_for_and_the_way_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agents.interrupts.LATE_SECONDS", 0.01)
    loaded, workspace = choose(SearchOptions(config=write_quick_search(tmp_path)))
    said = []

    def busy():
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            said.append(capsys.readouterr().out)
            if "leaving as soon as" in said[-1]:
                break
            signal.sigtimedwait([], 0.01)
        signal.raise_signal(signal.SIGINT)

    assert run_it(loaded, workspace, "info", busy) == 130
    assert "Ctrl-C again" in "".join(said)
    assert f"python -m agents.run --resume {workspace.directory}" in capsys.readouterr().out
    assert not workspace.is_held
