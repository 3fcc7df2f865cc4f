"""``init``, ``resources`` and ``queue`` where a scheduler's commands are there and serve nobody."""

import os
import shlex
from pathlib import Path

import forked
import pytest
import yaml

ROOT = Path(__file__).parents[3]
SILENT = "echo 'error: unknown host' >&2; exit 1"
QUEUES = "Queue: workq|queue_type=Execution|enabled=True|started=True"
QSTAT = f'case "$*" in *-Q*) echo {shlex.quote(QUEUES)};; *) : ;; esac'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Commands before everything else on PATH; those of Slurm are there, and answer nothing."""
    commands = tmp_path / "bin"
    commands.mkdir()
    # A machine that has a PBS of its own is not asked about it, in a login shell neither.
    others = [d for d in os.environ["PATH"].split(":") if not (Path(d) / "qsub").exists()]
    monkeypatch.setenv("PATH", ":".join([str(commands), *others]))
    command(tmp_path, "shell", 'exec /bin/sh -c "$2"')
    monkeypatch.setenv("SHELL", str(commands / "shell"))
    for name in ("sbatch", "sinfo", "squeue", "scontrol", "sacctmgr", "sacct"):
        command(tmp_path, name, SILENT)
    return tmp_path


def command(directory, name, body):
    path = directory / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(directory, *words):
    return forked.command(words, directory=directory)


def written(directory):
    return yaml.safe_load((directory / "config.yaml").read_text())


def test_the_scheduler_that_answers_is_taken(here):
    for name in ("qsub", "pbsnodes", "qselect"):
        command(here, name, "exit 0")
    command(here, "qstat", QSTAT)
    done = run(here, "init", "--yes")
    assert done.returncode == 0, done.stderr
    assert written(here)["cluster"]["batch_system"]["kind"] == "pbs"
    assert "queue workq" in done.stdout
    assert "unknown host" not in done.stdout


def test_a_scheduler_that_is_silent_is_taken_with_a_word_on_the_way_out(here):
    done = run(here, "init", "--yes")
    assert done.returncode == 0, done.stderr
    assert written(here)["extends"] == "site:generic-slurm"
    assert "slurm does not answer: sinfo: error: unknown host" in done.stdout
    assert "--batch local" in done.stdout
    assert done.stdout.count("unknown host") == 1
    for verb in ("resources", "queue"):
        asked = run(here, verb, "--config", "config.yaml")
        assert asked.returncode == 1
        assert "slurm on local does not answer: sinfo: error: unknown host" in asked.stderr
        assert asked.stdout == ""


def test_a_person_has_the_last_word(here):
    assert run(here, "init", "--yes", "--batch", "local").returncode == 0
    assert written(here)["extends"] == "site:local"
    refused = run(here, "init", "--yes", "--force", "--batch", "pbs")
    assert refused.returncode == 2
    assert "--batch pbs: no qsub on " in refused.stderr
    assert written(here)["extends"] == "site:local"


def test_a_machine_with_gpus_has_a_slot_for_each(here):
    command(here, "nvidia-smi", 'for n in 0 1 2; do echo "GPU $n: A (UUID: $n)"; done')
    assert run(here, "init", "--yes", "--batch", "local").returncode == 0
    batch = written(here)["cluster"]["batch_system"]
    assert batch == {"kind": "local", "slots": 3, "pin": "CUDA_VISIBLE_DEVICES"}
