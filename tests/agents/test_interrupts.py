"""Signals that find the search busy."""

import signal

import pytest

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
