"""What the loop's nodes say, keep and write, in a process of ours and without jobs."""

import json
from datetime import UTC, datetime

import pytest
from test_submit import write_config

from agents.config import load
from agents.interrupts import Interrupts
from agents.proposers import Proposed
from agents.search import open_search
from agents.workspace import create

NOW = datetime.now(UTC)
AWAY = "The sampler filled 2 of 2 slots in place of the LLM: the login has expired: log in again."
BACK = "The LLM proposes again."


class Said:
    """A screen that keeps what was said."""

    def __init__(self):
        self.lines = []

    def show(self, progress):
        pass

    def say(self, text, *, important=False):
        self.lines.append(text)

    def close(self):
        pass


@pytest.fixture
def workspace(tmp_path):
    loaded = load(write_config(tmp_path))
    return create(loaded.settings.directories, "e", loaded.resolved, NOW)


def journal_of(workspace):
    return [json.loads(line) for line in workspace.log_file.read_text().splitlines()]


def test_a_second_outage_in_the_same_words_is_said_and_the_report_has_it_once(workspace):
    screen = Said()
    loaded = load(workspace.config_file)
    with Interrupts() as interrupts, open_search(loaded, workspace, screen, interrupts) as search:
        for notices in ([AWAY], [], [AWAY], [BACK], [AWAY], [], [BACK]):
            search.nodes._enter(Proposed([], {}, notices), 1)
        kept = search.ledger.attributes()["notices"]
    expected = [AWAY, BACK, AWAY, BACK]
    assert screen.lines == [f"note: {text}" for text in expected]
    assert [e["text"] for e in journal_of(workspace) if e["event"] == "notice"] == expected
    assert kept == [AWAY, BACK]


def test_an_outage_that_lasts_is_said_again_by_the_process_that_goes_on(workspace):
    """Who resumes the search may be another person, or the same one a month later."""
    for _ in range(2):
        screen = Said()
        loaded = load(workspace.config_file)
        with Interrupts() as interrupts, open_search(loaded, workspace, screen, interrupts) as new:
            new.nodes._enter(Proposed([], {}, [AWAY]), 1)
        assert screen.lines == [f"note: {AWAY}"]
