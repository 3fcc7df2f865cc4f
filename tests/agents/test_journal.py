"""The log of a run, as those who read it by program find it."""

import json
from dataclasses import asdict
from pathlib import Path

from agents.journal import Journal
from scheduler.job import Cause, Failure


def test_a_failure_has_the_words_that_stand_everywhere_else(tmp_path):
    journal = Journal(tmp_path / "run.jsonl")
    failure = Failure(Cause.PROGRAM_ERROR, "it ended with 7")
    journal.event("ended", trial=3, failure=asdict(failure), where=Path("a/b"))
    journal.close()
    (line,) = map(json.loads, (tmp_path / "run.jsonl").read_text().splitlines())
    assert line["failure"]["cause"] == Cause.PROGRAM_ERROR.value
    assert line["where"] == "a/b"
