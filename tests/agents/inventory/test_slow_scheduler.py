"""A look at a Slurm whose ``sbatch --test-only`` is slow: what was read before stays."""

import pytest

from agents.inventory import survey as surveying
from agents.inventory.survey import survey
from scheduler.job import Resources
from scheduler.settings import LocalTransportSettings, SlurmBatchSettings
from scheduler.transports import open_transport

STARTS = "echo 'sbatch: Job 5 to start at 1999999999 using 4 processors' >&2"
PROGRAMS = {
    "sinfo": """case "$*" in
  *NodeHost*) for part in a b c d e; do
    printf '%-64s%-64s%-32s%-32s%-16s%-192s%-192s\\n' n1 $part idle 0/8/0/8 9000 '(null)' gpu:0
  done ;;
  *) printf '%s\\n' a b c d e ;;
esac""",
    "scontrol": "for p in a b c d e; do echo PartitionName=$p State=UP MaxTime=1-00:00:00; done",
    "squeue": "exit 0",
    "sacctmgr": "exit 1",
    # A clock on which each look takes fifty seconds.
    "date": "now=$(cat CLOCK); echo $((now + 50)) > CLOCK; echo $now",
}
ASKED = Resources(queue="c", walltime_seconds=3600)


@pytest.fixture
def look(tmp_path):
    (tmp_path / "clock").write_text("1700000000")

    def look(sbatch):
        for name, text in {**PROGRAMS, "sbatch": sbatch}.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{text}\n".replace("CLOCK", str(tmp_path / "clock")))
            program.chmod(0o755)
        batch = SlurmBatchSettings(kind="slurm", bin_directory=str(tmp_path))
        return survey(open_transport(LocalTransportSettings()), batch, ASKED)

    return look


def test_questions_end_at_a_deadline_and_those_that_were_asked_count(look):
    found = look(STARTS)
    assert [(s.queue, s.walltime_seconds) for s in found.starts] == [("c", 3600), ("c", 1800)]
    assert all(start.starts_at == 1999999999 for start in found.starts)
    assert len(found.queues) == 5
    assert found.missing[-1] == "sbatch --test-only: it is slow, no time for 13 more questions"


def test_a_look_at_starts_that_takes_too_long_leaves_the_rest(look, monkeypatch):
    asked = surveying._ask

    def slow(transport, prelude, questions):
        if "sbatch" in questions:
            monkeypatch.setattr(surveying, "LOOK_SECONDS", 0.5)
        return asked(transport, prelude, questions)

    monkeypatch.setattr(surveying, "_ask", slow)
    found = look("sleep 5")
    assert len(found.queues) == 5
    assert found.missing[-1].startswith("sbatch --test-only: ")
    assert {start.queue for start in found.starts if start.guess} == {*"abcde"}
