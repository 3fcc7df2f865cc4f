"""The search of `make run`, made short, with a real model at its side; then its replay."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents.report.reading import read_run

ROOT = Path(__file__).parents[2]
SHORT = (
    "loop.max_iterations=6",
    "loop.jobs_per_iteration=2",
    "training.budget.epochs=1",
    "proposer.kind=hybrid",
    "llm.timeout=10m",
    "llm.max_tokens=800",
    "llm.repair_attempts=1",
    "llm.tools.calls=2",
    "llm.tools.seconds=10m",
)


def pilothouse(*arguments):
    """A command, as a person gives it."""
    command = [sys.executable, "-m", "agents.run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def overrides(base, *values):
    settings = (*values, f"directories.local_base={base / 'results'}")
    return [part for value in settings for part in ("--set", value)]


def runs(base):
    return sorted(path.parent for path in base.glob("results/*/run.json"))


@pytest.fixture(scope="module")
def searched(llm, tmp_path_factory):
    base = tmp_path_factory.mktemp("search")
    endpoint = (f"llm.base_url={llm.url}", f"llm.model={llm.model}")
    done = pilothouse("--config", "config.example.yaml", *overrides(base, *SHORT, *endpoint))
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = runs(base)
    return base, run


def exchanges(run):
    return [json.loads(path.read_text()) for path in sorted((run / "logs/llm").glob("*.json"))]


def test_the_search_ends_well_and_every_exchange_is_kept(searched):
    _, run = searched
    trials = read_run(run).view.trials
    assert len(trials) == 12
    assert {trial.state.value for trial in trials} <= {"completed", "failed"}
    kept = exchanges(run)
    assert kept
    assert all(one["messages"] for one in kept)
    taken = [point for one in kept for point in one.get("accepted", ())]
    assert taken == [dict(trial.parameters) for trial in trials if trial.origin == "llm"]


def test_each_slot_of_the_llm_is_its_own_or_says_why_it_is_not(searched):
    _, run = searched
    trials = read_run(run).view.trials
    slots = {one["first_trial"]: one["slots"] for one in exchanges(run) if one["kind"] == "answer"}
    filled = [trial.fallback_reason for trial in trials if trial.fallback_reason]
    assert sum(slots.values()) == sum(trial.origin == "llm" for trial in trials) + len(filled)
    for reason in filled:
        assert reason.startswith("the LLM's proposal was refused: ")


def test_trials_are_explained(searched):
    _, run = searched
    trials = read_run(run).view.trials
    of_llm = next((one for one in trials if one.origin == "llm" or one.fallback_reason), trials[2])
    for trial in (trials[0], of_llm, trials[-1]):
        done = pilothouse("explain", str(run), str(trial.number))
        assert done.returncode == 0, done.stderr
        assert f"trial {trial.number} of iteration {trial.iteration}" in done.stdout
        assert ("the LLM" in done.stdout) or trial.origin != "llm"


def test_the_replay_is_the_same_search_without_the_endpoint(searched):
    base, run = searched
    done = pilothouse("--replay", str(run), *overrides(base))
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = (path for path in runs(base) if path != run)
    before, after = read_run(run).view.trials, read_run(again).view.trials
    for name in ("parameters", "origin", "rationale", "value", "seed", "fallback_reason"):
        assert [getattr(t, name) for t in after] == [getattr(t, name) for t in before], name
