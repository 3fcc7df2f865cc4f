"""Elapsed is the time at work; the time between an end and a resume is not."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from agents import paperwork
from agents.elapsed import elapsed_seconds, with_idle
from agents.workspace import Workspace

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(hours):
    return START + timedelta(hours=hours)


def test_idle_times_do_not_count_and_only_as_far_as_they_reach():
    kept = {"idle": with_idle({"idle": with_idle({}, at(2), at(10))}, at(11), at(20))}
    assert elapsed_seconds(kept, START, at(2)) == 2 * 3600
    assert elapsed_seconds(kept, START, at(5)) == 2 * 3600
    assert elapsed_seconds(kept, START, at(11)) == 3 * 3600
    assert elapsed_seconds(kept, START, at(21)) == 4 * 3600
    assert elapsed_seconds({}, START, at(21)) == 21 * 3600


def test_a_process_that_died_before_it_did_anything_leaves_no_idle_time_twice():
    first = {"idle": with_idle({}, at(2), at(10))}
    second = {"idle": with_idle(first, at(2), at(12))}
    assert elapsed_seconds(second, START, at(13)) == 3 * 3600


def test_a_clock_that_went_back_takes_nothing_away():
    kept = {"idle": with_idle({}, at(4), at(3))}
    assert elapsed_seconds(kept, START, at(5)) == 5 * 3600


def test_a_clock_that_is_set_meanwhile_makes_no_time_at_work(tmp_path, monkeypatch):
    class Wall(datetime):
        shown = at(1)

        @classmethod
        def now(cls, tz=None):
            return cls.shown

    steady = [100.0]
    monkeypatch.setattr(paperwork, "datetime", Wall)
    ledger = SimpleNamespace(attributes=lambda: {"started_at": START.isoformat()})
    papers = paperwork.Paperwork(None, Workspace(tmp_path), ledger, "", clock=lambda: steady[0])
    assert papers.elapsed() == 3600
    for hours in (-5, 0.5, 90):
        Wall.shown = at(hours)
        steady[0] += 60
        assert papers.elapsed() == 3600 + steady[0] - 100
