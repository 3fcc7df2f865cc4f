"""A job that was short of memory comes back with more, or a person is told why it cannot."""

import datetime

import pytest
from test_submit import write_config

from agents.config import load
from agents.experiment import Experiment
from agents.interrupts import Interrupts
from agents.search import open_run
from agents.workspace import create
from scheduler.job import Cause, JobState, Listing, Observation, Submitted
from scheduler.units import memory_text, parse_memory

NOW = datetime.datetime.now(datetime.UTC)
SLURM = "batch_system: {kind: slurm}"


def ended_short_of_memory(tmp_path, monkeypatch, cluster, *, times=1, more=()):
    """What was said as the jobs of `times` trials ran out of memory, and what was noticed."""
    loaded = load(write_config(tmp_path, cluster), ["cluster.poll.ceiling=600s", *more])
    workspace = create(loaded.settings.directories, "single", loaded.resolved, NOW)
    said, noticed = [], []
    with Interrupts() as interrupts, open_run(loaded, workspace, interrupts) as run:
        flight = run.flight
        monkeypatch.setattr(
            flight._cluster,
            "submit",
            lambda requests, again: {r.name: Submitted(r.name, "1") for r in requests},
        )
        monkeypatch.setattr(
            flight._cluster,
            "poll",
            lambda refs: {
                ref.name: Observation(
                    ref.name,
                    Listing("1", JobState.ENDED, "OUT_OF_MEMORY", cause=Cause.OUT_OF_MEMORY),
                    True,
                    137,
                    None,
                )
                for ref in refs
            },
        )
        flight.said, flight.noticed = said.append, noticed.append
        for x in range(times):
            Experiment(run).enter({"x": x / 10, "kind": "a"})
        flight.submit()
        flight.poll()
        flight.collect()
    return said, noticed


def test_without_a_memory_of_its_own_it_is_said_once_that_none_comes_back(tmp_path, monkeypatch):
    said, noticed = ended_short_of_memory(tmp_path, monkeypatch, SLURM, times=2)
    assert len(noticed) == 1
    assert "set cluster.resources.memory" in noticed[0]
    assert not said


def test_with_one_the_next_attempt_says_how_much_it_gets(tmp_path, monkeypatch):
    cluster = f"{SLURM}, resources: {{memory: 3G}}"
    said, noticed = ended_short_of_memory(tmp_path, monkeypatch, cluster)
    assert said == ["trial 0: out of memory; attempt 2 follows with 6G of memory"]
    assert not noticed


@pytest.mark.parametrize(
    ("cluster", "more"),
    [
        ("batch_system: {kind: local, slots: 2}", []),
        (SLURM, ["cluster.retry.out_of_memory={times: 0}"]),
        (f"{SLURM}, resources: {{memory: 3G}}", ["cluster.retry.out_of_memory={times: 0}"]),
    ],
)
def test_where_it_would_not_help_or_is_not_wanted_nothing_is_said(
    tmp_path, monkeypatch, cluster, more
):
    assert ended_short_of_memory(tmp_path, monkeypatch, cluster, more=more) == ([], [])


@pytest.mark.parametrize("text", ["512M", "4G", "1300M"])
def test_memory_is_written_as_it_is_read(text):
    assert memory_text(parse_memory(text)) == text
