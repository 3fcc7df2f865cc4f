"""The templates run as they are: alone, as a search, and a search after experiments."""

import json

import pytest
from doctor_bench import ROOT, doctor, run

from agents.config import load

TEMPLATES = ROOT / "templates"


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_template_is_a_valid_configuration(path):
    assert load(path).settings.search_space


def test_experiment_and_search_can_share_a_ledger():
    one, other = (load(TEMPLATES / f"{name}.yaml").settings for name in ("experiment", "search"))
    assert (one.experiment, one.objective, one.search_space, one.constraints) == (
        other.experiment,
        other.objective,
        other.search_space,
        other.constraints,
    )


def test_the_program_to_begin_from_runs(tmp_path):
    base = f"directories.local_base={tmp_path}"
    code, found = doctor(TEMPLATES / "own.yaml", "--set", base)
    assert code == 0, found
    done = run("submit", "-c", TEMPLATES / "own.yaml", "--set", base, "x=1", "y=-0.5", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "completed: score 0.3333" in done.stdout


def test_the_reference_program_is_found_from_the_template(tmp_path):
    for name in ("experiment", "search"):
        code, found = doctor(
            TEMPLATES / f"{name}.yaml", "--set", f"directories.local_base={tmp_path}"
        )
        assert (code, found["training command"]["outcome"]) == (0, "ok"), found


def test_experiments_put_together_are_where_a_search_begins(tmp_path):
    own = ["--config", TEMPLATES / "own.yaml", "--set", f"directories.local_base={tmp_path}"]
    for x in ("0.9", "-1"):
        done = run("submit", *own, f"x={x}", "y=-0.5", "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
    pool = tmp_path / "known ümläut"
    first, second = (run("harvest", tmp_path, "--into", pool) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "2 more experiments" in first.stdout
    assert "0 more experiments" in second.stdout
    more = ["--set", "loop.max_iterations=2", "--set", "proposer.kind=sampler"]
    done = run(*own, "--resume", pool, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((pool / "summary.json").read_text())
    assert summary["totals"]["trials"] == 4
    assert {trial["origin"] for trial in trials(pool)} > {"user"}
    assert (pool / "reports" / "report.html").stat().st_size > 1000


def trials(pool):
    return json.loads(run("export", pool, "--format", "json").stdout)["trials"]


def test_experiments_of_different_tasks_are_not_put_together(tmp_path):
    own = ["--config", TEMPLATES / "own.yaml", "--set", f"directories.local_base={tmp_path}"]
    assert run("submit", *own, "--wait").returncode == 0
    wider = ["--set", "search_space.x.high=3"]
    assert run("submit", *own, *wider, "--wait").returncode == 0
    done = run("harvest", tmp_path, "--into", tmp_path / "pool")
    assert done.returncode == 2
    assert "search_space" in done.stderr
    assert not (tmp_path / "pool").exists()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("")
    (one, _) = sorted(path for path in tmp_path.iterdir() if (path / "run.json").exists())
    done = run("harvest", one, "--into", tmp_path / "data")
    assert done.returncode == 2
    assert "something else" in done.stderr
