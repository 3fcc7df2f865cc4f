"""``resources`` and ``queue`` on a real Slurm; its texts read."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import forked
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_fixtures import plain_slurm  # noqa: F401

from agents.detect.choices import Wishes, queue_of
from agents.doctor.heard import Word
from agents.errors import ConfigurationError
from agents.inventory import Start
from agents.inventory.advice import advice
from agents.inventory.slurm import _WIDTHS, gres, read
from agents.inventory.slurm_starts import read_starts, start_questions, with_guesses
from agents.inventory.times import seconds
from scheduler.job import Resources

ROOT = Path(__file__).parents[3]
CONFIG = """\
experiment: {id: looks}
search_space: {x: {type: float, low: 0, high: 1}}
training: {command: ["true", "{hyperparameters}"]}
cluster:
  batch_system: {kind: slurm}
  resources: {cpus: 12, gpus: 1, walltime: 8m, QUEUE}
"""


@pytest.fixture
def site(plain_slurm, tmp_path, monkeypatch):  # noqa: F811
    for key, value in plain_slurm.environment.items():
        monkeypatch.setenv(key, value)
    yield plain_slurm
    plain_slurm.clear()


def run(tmp_path, verb, *more, queue="queue: debug", columns="120"):
    config = tmp_path / "config with space.yaml"
    config.write_text(CONFIG.replace("QUEUE", queue))
    words = [verb, "--config", config, *more]
    return forked.command(words, environment={**os.environ, "COLUMNS": columns})


@pytest.mark.cluster
def test_what_is_free_and_when_a_job_would_start(site, tmp_path):
    job = ("sbatch", "-o", "/dev/null", "-t", "5", "--wrap", "sleep 280")
    site.client(*job, "-c", "8", "--gres=gpu:a100:3", check=True)
    until = time.monotonic() + 180
    while "RUNNING" not in site.client("squeue", "-h", "-o", "%T").stdout:
        assert time.monotonic() < until
        time.sleep(0.1)
    found = json.loads(run(tmp_path, "resources", "--json").stdout)
    by_name = {queue["name"]: queue for queue in found["queues"]}
    assert set(by_name) == {"debug", "scavenge", "urgent", "down"}
    debug = by_name["debug"]
    assert (debug["is_default"], debug["longest_seconds"]) == (True, 600)
    assert (debug["partly"], debug["cpus"], debug["running"]) == (1, 16, 1)
    assert debug["gpus"] == [{"kind": "a100", "total": 4, "used": 3, "down": 0}]
    assert not by_name["down"]["is_open"]
    starts = {(s["queue"], s["walltime_seconds"]): s for s in found["starts"]}
    at = datetime.fromisoformat(starts["debug", 480]["starts_at"])
    assert at.timestamp() > time.time() + 60  # twelve cores are not free
    assert not any(queue == "down" for queue, _ in starts)
    assert [job["name"] for job in found["my_jobs"]] == ["wrap"]

    shown = run(tmp_path, "resources")
    assert shown.returncode == 0, shown.stderr
    assert "1 of 4 a100" in shown.stdout
    assert "→ first start: queue urgent, now" in shown.stdout


@pytest.mark.cluster
def test_what_waits_and_why(site, tmp_path):
    for _ in range(2):
        site.client("sbatch", "-o", "/dev/null", "-c", "16", "-t", "5", "-J", "näme |x",
                    "--wrap", "sleep 280", check=True)  # fmt: skip
    until = time.monotonic() + 180
    while "Resources" not in site.client("squeue", "-h", "-o", "%r").stdout:
        assert time.monotonic() < until
        time.sleep(0.1)
    jobs = json.loads(run(tmp_path, "queue", "--json").stdout)
    assert sorted(job["state"] for job in jobs) == ["PENDING", "RUNNING"]
    assert {job["name"] for job in jobs} == {"näme |x"}
    assert all(job["mine"] and job["cpus"] == 16 for job in jobs)
    assert "PENDING" in run(tmp_path, "queue", "--all", columns="40").stdout
    assert "Resources" in run(tmp_path, "queue", columns="200").stdout


@pytest.mark.cluster
def test_a_name_with_line_breaks_forges_no_job_in_the_queue(site, tmp_path):
    forged = "7|root|RUNNING|debug|1|1|1:00|N/A|None|N/A|1|forged"
    name = f"evil |x\u2028{forged}\v{forged}\n{forged}"
    site.client("sbatch", "-o", "/dev/null", "--hold", "-J", name, "--wrap", "true", check=True)
    (job,) = json.loads(run(tmp_path, "queue", "--all", "--json").stdout)
    assert job["name"].startswith("evil |x")
    assert job["state"] == "PENDING"


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("queue", "advice"),
    [
        ("queue: nowhere", "there is no queue nowhere: set cluster.resources.queue to one of"),
        ("queue: down", "queue down is closed"),
        ("queue: debug, gpu_type: h100", "queue debug has a100, not h100"),
    ],
)
def test_what_cannot_be_had_is_said(site, tmp_path, queue, advice):
    done = run(tmp_path, "resources", queue=queue)
    assert done.returncode == 0, done.stderr
    assert advice in done.stdout


@pytest.mark.cluster
def test_other_gpus_than_those_of_earlier_trials_are_warned_of(site, tmp_path):
    # A quick search leaves a trial that says what it ran on.
    config = tmp_path / "config with space.yaml"
    far = "import json, os; json.dump({'schema': 1, 'status': 'completed', 'trial': 0, "
    far += "'metrics': {}, 'curve': {'step': [1], 'accuracy': [0.5]}, 'seconds': 1, "
    far += "'environment': {'device_name': 'NVIDIA H100 80GB HBM3'}}, open('results.json', 'w'))"
    command = json.dumps([sys.executable, "-c", far, "{hyperparameters}"])
    text = CONFIG.replace('["true", "{hyperparameters}"]', command)
    config.write_text(text.replace("QUEUE", "queue: debug") + "loop: {max_trials: 1}\n")
    searched = subprocess.run(
        [sys.executable, "-m", "agents.run", "--config", str(config)],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert searched.returncode == 0, searched.stdout + searched.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "agents.run", "resources", "--config", str(config)],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    ).stdout  # fmt: skip
    assert "earlier trials ran on NVIDIA H100 80GB HBM3, new ones would run on a100" in shown


@pytest.mark.cluster
def test_a_controller_that_is_away_is_named(site, tmp_path, monkeypatch):
    # Where the file is missing, Slurm asks the name service for a controller: up to a minute.
    (tmp_path / "slurm.conf").touch()
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    done = run(tmp_path, "resources")
    assert done.returncode == 1
    assert "slurm on local does not answer: sinfo: " in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_a_scheduler_it_says_so(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("kind: slurm", "kind: local").replace("QUEUE", "queue: x"))
    done = subprocess.run(
        [sys.executable, "-m", "agents.run", "resources", "--config", str(config)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no scheduler to ask" in done.stderr


def test_a_start_that_nobody_tells_is_unknown():
    said = {
        "start:a:60": Word(124, ""),
        "start:b:60": Word(1, ""),
        "start:c:60": Word(1, "x\nallocation failure: Requested node is not available"),
        "start:d:60": Word(0, "sbatch: Job 3 to start at 1000 using 4 processors"),
    }
    words = {start.queue: (start.starts_at, start.words) for start in read_starts(said)}
    assert words == {
        "a": (None, "unknown: sbatch hung"),
        "b": (None, "unknown: no answer"),
        "c": (None, "Requested node is not available"),
        "d": (1000.0, ""),
    }


SQUEUE = """\
7|bob|RUNNING|a|1|4|10:00|2000|None|N/A|1400|x
8|bob|RUNNING|a|1|4|10:00|2100|None|N/A|1900|x
9|bob|PENDING|a|1|4|10:00|9000|Priority|N/A|1000|x
10|ada|RUNNING|b|1|4|10:00|N/A|None|N/A|1000|a|b"""


def test_where_slurm_gives_no_answer_the_start_is_guessed_from_those_that_run():
    seen = {
        "me": Word(0, "ada"),
        "jobs": Word(0, SQUEUE),
        "queues": Word(0, "\n".join(f"PartitionName={name} State=UP" for name in "abc")),
    }
    inventory = read(seen)
    assert [job.waited_seconds for job in inventory.jobs] == [600, 200, None, None]
    assert inventory.jobs[3].name == "a|b"
    told = [
        Start("a", 60, None, words="unknown: sbatch hung"),
        Start("a", 30, None, words="Invalid account"),
        Start("b", 60, None, words="unknown: no answer"),
        Start("c", 60, 7000.0),
    ]
    found = with_guesses(told, inventory, now=5000.0)
    assert found[0] == Start("a", 60, 5400.0, guess=True, words="unknown: sbatch hung")
    assert found[1:] == told[1:]


@pytest.mark.parametrize(
    "said, listed",
    [
        (Word(1, "sacctmgr: error: Connection refused"), True),
        (Word(124, ""), True),
        (Word(1, "You are not running a supported accounting_storage plugin"), False),
        (Word(1, "Slurm accounting storage is disabled"), False),
        (Word(0, "ml|||||"), False),
    ],
)
def test_accounts_that_could_not_be_had_are_named_unless_there_are_none(said, listed):
    assert any("sacctmgr" in line for line in read({"accounts": said}).missing) == listed


def test_partitions_are_known_without_their_nodes():
    seen = {
        "nodes": Word(1, "sinfo: error"),
        "queues": Word(0, "PartitionName=gpu Default=YES MaxTime=02:00:00 State=UP"),
    }
    [queue] = read(seen).queues
    assert (queue.name, queue.is_default, queue.longest_seconds, queue.nodes) == (
        "gpu", True, 7200, 0,
    )  # fmt: skip


PARTITIONS = """\
PartitionName=debug Default=YES Hidden=NO MaxTime=00:10:00 State=UP
PartitionName=secret Hidden=YES MaxTime=1-00:00:00 State=UP
PartitionName=group AllowGroups=physics Hidden=NO MaxTime=1-00:00:00 State=UP"""


def hidden(**changes):
    names = ("debug", "secret", "group", "gone")
    words = {
        "nodes": "\n".join(node("n1", name, "idle", "(null)", "gpu:0") for name in names),
        "queues": PARTITIONS,
        "visible": "debug",
        **changes,
    }
    return read({k: v if isinstance(v, Word) else Word(0, v) for k, v in words.items()})


def test_partitions_that_are_not_shown_to_me_are_not_offered():
    found = hidden()
    assert [q.name for q in found.queues if q.is_hidden] == ["gone", "group", "secret"]
    assert found.queue("secret").longest_seconds == 86400
    assert not found.queue("gone").is_open
    choice = queue_of(Wishes(), found, None)
    assert (choice.value, choice.why) == ("debug", "the default")
    with pytest.raises(ConfigurationError, match=r"--queue nosuch: there are debug$"):
        queue_of(Wishes(queue="nosuch"), found, None)
    said = advice(found, Resources(queue="nosuch"), [], 0.0)
    assert said[-1].endswith("to one of debug")


def test_a_hidden_partition_is_taken_where_a_person_names_it():
    found = hidden()
    assert queue_of(Wishes(queue="secret"), found, None).value == "secret"
    assert "start:secret:" in start_questions(Resources(queue="secret"), found.queues, 9)
    assert "start:secret:" not in start_questions(Resources(queue="debug"), found.queues, 9)
    assert len(advice(found, Resources(queue="secret"), [], 0.0)) == 1  # and that is of starts


def test_where_scontrol_or_sinfo_says_nothing_no_partition_is_taken_for_hidden():
    found = hidden(queues=Word(1, "error"))
    assert all(queue.is_open for queue in found.queues)
    found = hidden(visible=Word(1, "error"))
    assert [q.name for q in found.queues if q.is_hidden] == ["secret"]


@pytest.mark.cluster
def test_a_real_partition_that_is_hidden(site, tmp_path):
    site.client("scontrol", "update", "partition=scavenge", "Hidden=YES", check=True)
    try:
        found = json.loads(run(tmp_path, "resources", "--json").stdout)
    finally:
        site.client("scontrol", "update", "partition=scavenge", "Hidden=NO", check=True)
    by_name = {queue["name"]: queue for queue in found["queues"]}
    assert [name for name, queue in by_name.items() if queue["is_hidden"]] == ["scavenge"]
    assert by_name["scavenge"]["longest_seconds"] == 86400
    assert {start["queue"] for start in found["starts"]} == {"debug", "urgent"}


@pytest.mark.cluster
def test_a_hanging_sbatch_costs_one_time_limit_and_not_the_look(site, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sbatch").write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\nsleep 60\n")
    (tmp_path / "bin" / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    done = run(tmp_path, "resources")
    assert done.returncode == 0, done.stderr
    assert "unknown: sbatch hung" in done.stdout
    assert (tmp_path / "asked").read_text() == "x\n"


def test_gpus_in_all_spellings():
    text = "gpu:a100:4(S:0-1),gpu:2,shard:8,gpu:tesla_v100-sxm2:1(IDX:0),gres:gpu:3"
    assert list(gres(text)) == [("a100", 4), ("", 2), ("tesla_v100-sxm2", 1), ("", 3)]
    assert list(gres("(null)")) == []


KINDS = st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9][\w.-]{0,20}", fullmatch=True))
ENDS = st.sampled_from(["", "(S:0-1)", "(IDX:0-3)", "(IDX:0,2-3)", "(IDX:N/A)", "(S:0,CPU:1:2)"])
GPUS = st.tuples(
    KINDS, st.integers(0, 10**4), ENDS, st.sampled_from(["gpu", "gres:gpu", "gres/gpu"])
)


@given(st.lists(GPUS), st.booleans())
def test_gpus_of_any_kind_are_counted_and_no_kind_is_a_count(gpus, nulls):
    def text(kind, count, end, name):
        kind = f":{kind}" if kind is not None else ":(null)" if nulls else ""
        return f"{name}{kind}:{count}{end}"

    written = ",".join(text(*one) for one in gpus)
    assert list(gres(written)) == [(kind or "", count) for kind, count, _, _ in gpus]


def test_types_that_begin_with_a_digit_or_are_none_at_all():
    text = "gpu:2080ti:8,gpu:3090:4(S:0-1),gpu:1g.5gb:7,gpu:(null):3(IDX:0-2),gres/gpu:a100=4"
    assert list(gres(text)) == [("2080ti", 8), ("3090", 4), ("1g.5gb", 7), ("", 3), ("a100", 4)]
    assert list(gres("gres/gpu=4")) == [("", 4)]


def node(name, queue, state, gpus, used, cpus="0/64/0/64"):
    cells = (name, queue, state, cpus, "256000", gpus, used)
    return "".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


@pytest.mark.parametrize(
    ("gpus", "used", "free"),
    [
        ("gpu:4", "gpu:(null):4(IDX:0-3)", [("", 0)]),
        ("gpu:4", "gpu:(null):0(IDX:N/A)", [("", 4)]),
        ("gpu:4", "gpu:a100:3(IDX:0-2)", [("", 1)]),
        ("gpu:a100:4", "gpu:3", [("a100", 1)]),
        ("gpu:a100:4,gpu:1g.5gb:7", "gpu:a100:4(IDX:0-3),gpu:1g.5gb:2(IDX:4-5)",
         [("a100", 0), ("1g.5gb", 5)]),
    ],
)  # fmt: skip
def test_gpus_in_use_are_not_free(gpus, used, free):
    seen = {"nodes": Word(0, node("n1", "gpu", "mixed", gpus, used))}
    [queue] = read(seen).queues
    assert [(one.kind, one.free) for one in queue.gpus] == free


@given(st.integers(0, 10**7))
def test_durations_are_read_as_slurm_writes_them(total):
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    assert seconds(f"{days}-{hours:02}:{minutes:02}:{rest:02}") == total
    if not days:
        assert seconds(f"{hours}:{minutes:02}:{rest:02}") == total
    if not days and not hours:
        assert seconds(f"{minutes}:{rest:02}") == total
    for word in ("UNLIMITED", "NOT_SET", "infinite", "n/a", "", "-"):
        assert seconds(word) is None
