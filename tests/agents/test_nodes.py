"""What the loop's nodes say, keep and write, in a process of ours and without jobs."""

import json
import os
import re
import signal
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from test_submit import write_config

from agents import pulse
from agents.config import load
from agents.errors import ConfigurationError
from agents.interrupts import Interrupted, Interrupts
from agents.proposers import Proposed
from agents.proposers.build import build_proposer
from agents.requests import leave, new_request
from agents.search import open_search
from agents.space import SearchSpace
from agents.trial import Proposal
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


@contextmanager
def opened(workspace):
    """The search in a process, and what it has said so far."""
    screen = Said()
    loaded = load(workspace.config_file)
    with Interrupts() as interrupts, open_search(loaded, workspace, screen, interrupts) as search:
        yield search, screen.lines


def asked(search, verb, **arguments):
    """What comes of a request."""
    leave(search.workspace.directory, new_request(verb, arguments))
    search.nodes.prepare({"iteration": 1, "in_flight": [], "stop": None})
    return search.nodes._helm.history[-1]


def journal_of(workspace):
    return [json.loads(line) for line in workspace.log_file.read_text().splitlines()]


def test_a_second_outage_in_the_same_words_is_said_and_the_report_has_it_once(workspace):
    with opened(workspace) as (search, said):
        for notices in ([AWAY], [], [AWAY], [BACK], [AWAY], [], [BACK]):
            search.nodes._enter(Proposed([], {}, notices), 1)
        kept = search.ledger.attributes()["notices"]
    expected = [AWAY, BACK, AWAY, BACK]
    assert said == [f"note: {text}" for text in expected]
    assert [e["text"] for e in journal_of(workspace) if e["event"] == "notice"] == expected
    assert kept == [AWAY, BACK]


def test_an_outage_that_lasts_is_said_again_by_the_process_that_goes_on(workspace):
    """Who resumes the search may be another person, or the same one a month later."""
    for _ in range(2):
        with opened(workspace) as (search, said):
            search.nodes._enter(Proposed([], {}, [AWAY]), 1)
        assert said == [f"note: {AWAY}"]


# -- steering ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [("note", {"text": "wide nets"}), ("pause", {}), ("forbid", {"expression": "x > 0.9"})],
)
def test_a_request_is_taken_though_what_was_staged_has_moved_since_the_search_began(
    tmp_path, verb, arguments
):
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("")
    config = write_config(tmp_path)
    text = config.read_text().replace("training: {", f"training: {{stage: [{code}], ")
    config.write_text(text.replace("-S, ", '"{code}/train.py", '))
    loaded = load(config)
    workspace = create(loaded.settings.directories, "e", loaded.resolved, NOW)
    with opened(workspace) as (search, _):
        assert not asked(search, "set", key="loop.max_iterations", value="7").refused
        code.rename(tmp_path / "code.old")
        assert not asked(search, verb, **arguments).refused
        refused = asked(search, "set", key="loop.max_iterations", value="8")
        assert refused.refused and "there is no file or directory" in refused.effect
        assert search.nodes._settings.loop.max_iterations == 7


@pytest.fixture
def close_fit(tmp_path):
    """A search whose question to the LLM just fits: with a region forbidden it is too long."""
    config = write_config(tmp_path)
    text = config.read_text().replace("kind: sampler", "kind: llm")
    llm = "base_url: http://127.0.0.1:9/v1, model: m, max_retries: 0"

    def at(tokens):
        config.write_text(f"{text}llm: {{{llm}, prompt_tokens: {tokens}}}\n")
        return load(config)

    settings = at(300).settings
    with pytest.raises(ConfigurationError) as refused:
        build_proposer(settings, SearchSpace.build(settings.search_space, []), tmp_path / "llm")
    loaded = at(re.search("about ([0-9]+) tokens", str(refused.value))[1])
    return create(loaded.settings.directories, "e", loaded.resolved, NOW)


def test_what_the_llm_could_not_be_told_is_not_forbidden_and_the_search_goes_on(close_fit):
    with opened(close_fit) as (search, _):
        one = asked(search, "forbid", expression="x > 0.95")
    assert one.refused
    assert one.effect.startswith("forbid `x > 0.95`: nobody could propose any more (llm.prompt_tok")
    with opened(close_fit) as (search, _):
        assert search.nodes._helm.now.forbidden == ()


def test_a_proposer_that_cannot_be_made_anew_stays_as_it_was(close_fit, monkeypatch):
    with opened(close_fit) as (search, said):
        before = search.nodes._proposer

        def fails(helm):
            raise ConfigurationError("llm.prompt: it cannot be read")

        monkeypatch.setattr(search.nodes, "_build_proposer", fails)
        assert not asked(search, "set", key="loop.max_iterations", value="7").refused
        assert search.nodes._proposer is before
        assert search.nodes._settings.loop.max_iterations == 7
    assert "note: the proposer stays as it was before: llm.prompt: it cannot be read" in said


# -- while the LLM is asked ----------------------------------------------------------------------


class Slow:
    """A proposer that takes longer than anybody waits for a sign of life."""

    def __init__(self, workspace):
        self.file, self.seen = workspace.progress_file, None

    def propose(self, view, count):
        said = self.file.read_bytes()
        os.utime(self.file, (0, 0))
        limit = time.monotonic() + 60
        while self.file.stat().st_mtime == 0 and time.monotonic() < limit:
            time.sleep(0.01)
        self.seen = self.file.stat().st_mtime > 0, self.file.read_bytes() == said
        raise Interrupted(signal.SIGTERM)


def test_a_search_that_waits_for_its_proposer_gives_signs_of_life(workspace, monkeypatch):
    """Where locks do not reach other hosts these alone keep a second orchestrator away."""
    monkeypatch.setattr(pulse, "SECONDS", 0.01)
    with opened(workspace) as (search, _):
        search.nodes._proposer = slow = Slow(workspace)
        with pytest.raises(Interrupted):
            search.run()
        assert slow.seen == (True, True)
    workspace.progress_file.unlink()
    with pulse.pulse(workspace.progress_file):
        time.sleep(0.05)
    assert not workspace.progress_file.exists()


def test_who_asks_the_search_to_leave_does_not_wait_for_all_attempts_at_an_endpoint(tmp_path):
    config = write_config(tmp_path)
    text = config.read_text().replace("kind: sampler", "kind: llm")
    llm = "base_url: http://127.0.0.1:9/v1, model: m, max_retries: 1"
    config.write_text(f"{text}llm: {{{llm}}}\n")
    loaded = load(config)
    workspace = create(loaded.settings.directories, "e", loaded.resolved, NOW)
    with (
        Interrupts() as interrupts,
        open_search(loaded, workspace, Said(), interrupts) as search,
    ):
        search.nodes._enter(Proposed([Proposal({"x": 0.5, "kind": "a"}, "default")]), 1)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted):
            search.nodes._proposer.propose(search.nodes.view(), 2)
