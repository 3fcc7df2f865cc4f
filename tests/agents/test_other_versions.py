"""A run that a newer version has worked on: it can be looked at, and is not damaged."""

import json
import sqlite3
from pathlib import Path

import pytest
from quick_search import run, write_quick_search

from agents.newer import failure_fields
from scheduler.job import Cause, Failure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    base = tmp_path_factory.mktemp("run")
    config = write_quick_search(base, ', run_pattern: "{experiment}"')
    assert run("--config", config).returncode == 0
    return base / "results" / "small"


def change(database, key, changed):
    """Write the trials' attribute `key` as a newer version would."""
    with sqlite3.connect(database) as connection:
        rows = "SELECT trial_user_attribute_id, value_json FROM trial_user_attributes WHERE key = ?"
        for row, text in connection.execute(rows, (key,)).fetchall():
            connection.execute(
                "UPDATE trial_user_attributes SET value_json = ? WHERE trial_user_attribute_id = ?",
                (json.dumps(changed(json.loads(text))), row),
            )
    connection.close()


FAILURE = {"cause": "eaten", "message": "by a dragon", "teeth": 3}
CHANGES = [
    ("job", lambda job: {**job, "colour": "blue"}, "job.colour"),
    (
        "job",
        lambda job: {**job, "resources": {**job["resources"], "colour": 1}},
        "job.resources.colour",
    ),
    (
        "job",
        lambda job: {**job, "past": [{"job": dict(job), "failure": FAILURE}]},
        "failure.teeth",
    ),
    ("outcome", lambda outcome: {**outcome, "failure": {**FAILURE}}, "failure.teeth"),
]


@pytest.mark.parametrize(("key", "changed", "named"), CHANGES)
def test_it_is_looked_at_and_not_gone_on_with(searched, tmp_path, key, changed, named):
    original = (searched / "study.db").read_bytes()
    try:
        change(searched / "study.db", key, changed)
        written = (searched / "study.db").read_bytes()
        page = run("report", searched, "--output", tmp_path / "page.html")
        assert page.returncode == 0, page.stderr
        assert "study.db.broken" not in page.stdout + page.stderr  # it is not to be replaced
        assert not (searched / "recovered").exists()
        again = run("resume", searched, "--max-iterations", 2)
        assert again.returncode == 1, again.stdout
        assert "Traceback" not in again.stderr, again.stderr
        assert f"newer version of Pilothouse has worked on this run: trial 0 has {named}" in (
            again.stderr
        )
        assert (searched / "study.db").read_bytes() == written
    finally:
        (searched / "study.db").write_bytes(original)


def test_a_failure_without_a_word_for_it_is_told_in_the_words_of_the_newer():
    told = Failure(**failure_fields(FAILURE))
    assert told == Failure(Cause.PROGRAM_ERROR, "eaten: by a dragon")


def test_a_key_that_nobody_mistyped_is_another_versions(searched):
    file = searched / "config.yaml"
    original = file.read_text()
    try:
        file.write_text(original.replace("\nloop:\n", "\nloop:\n  colour: blue\n"))
        again = run("resume", searched, "--max-iterations", 2)
        assert again.returncode == 2, again.stdout
        assert "loop.colour: there is no such key" in again.stderr
        assert "another version of Pilothouse made the run" in again.stderr
    finally:
        file.write_text(original)
    mistyped = run("resume", searched, "--set", "loop.colour=blue")
    assert "no such key" in mistyped.stderr
    assert "another version" not in mistyped.stderr
