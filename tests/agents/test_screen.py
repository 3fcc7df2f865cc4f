"""What a log file gets to read while a search goes on."""

import pytest

from agents import screen
from agents.progress import JobLine, Progress
from agents.screen import PlainScreen


def progress(*jobs):
    lines = [
        JobLine(number, state, None, reason=reason) for number, (state, reason) in enumerate(jobs)
    ]
    return Progress("mine", 1, 2, "accuracy", 1.0, jobs=lines)


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(screen, "QUEUE_SECONDS", 0.0)


def test_jobs_that_all_wait_in_the_queue_are_told_once_with_the_reason(at_once, capsys):
    plain = PlainScreen()
    waits = progress(("queued", "Priority"), ("queued", "Priority"))
    plain.show(waits)
    plain.show(waits)
    plain.show(progress(("queued", "PartitionDown")))
    plain.show(progress(("running", ""), ("queued", "Priority")))
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("waiting: 2 jobs in the queue since ")
    assert first.endswith(" (Priority)")
    assert second.startswith("waiting: 1 job in the queue since ")
    assert third == "goes on"


def test_jobs_that_start_soon_are_worth_no_line(capsys):
    plain = PlainScreen()
    plain.show(progress(("queued", "Priority")))
    plain.show(progress(("running", "")))
    assert capsys.readouterr().out == ""
