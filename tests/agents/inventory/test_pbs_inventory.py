"""What PBS's own listings say of queues, nodes and jobs."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agents.doctor.heard import Word
from agents.inventory import guessed, pbs
from agents.inventory.advice import advice
from scheduler.job import Resources

QUEUES = """\
Queue: debug|queue_type=Execution|total_jobs=2|max_queued=[u:PBS_GENERIC=1]|resources_max.walltime=01:00:00|enabled=True|started=True
Queue: prod|queue_type=Route|total_jobs=0|enabled=True|started=True
Queue: large|queue_type=Execution|total_jobs=0|resources_max.walltime=24:00:00|enabled=True|started=False"""
NODES = """\
Name=n1|Mom=n1|state=free|resources_available.mem=24684084kb|resources_available.ncpus=32|resources_available.ngpus=4|resources_assigned.ncpus=0
Name=n2|Mom=n2|state=job-exclusive|resources_available.mem=512gb|resources_available.ncpus=64|resources_available.ngpus=4|resources_assigned.ngpus=4|resources_assigned.ncpus=64
Name=n3|Mom=n3|state=down,offline|resources_available.ncpus=32|resources_available.ngpus=4
Name=n4|Mom=n4|queue=large|state=free|resources_available.ncpus=8|resources_assigned.ncpus=2"""
JOBS = """\
Job Id: 5.host|Job_Name=mine|Job_Owner=ada@login|euser=ada|job_state=Q|queue=debug|Resource_List.nodect=2|Resource_List.ncpus=64|Resource_List.ngpus=8|Resource_List.walltime=00:30:00|comment=Not Running: Insufficient amount of resource: ncpus
Job Id: 4.host|Job_Name=a\\|b|Job_Owner=bob@login|job_state=R|queue=debug|Resource_List.nodect=1|stime=Tue Nov 24 02:10:00 2026|etime=Tue Nov 24 02:00:00 2026"""
ASKED = Resources(nodes=1, gpus=2, walltime_seconds=7200, queue="debug")


def seen(**changes):
    words = {"me": "ada", "server": "Server: host|default_queue=debug", "queues": QUEUES,
             "nodes": NODES, "jobs": JOBS, **changes}  # fmt: skip
    return {name: text if isinstance(text, Word) else Word(0, text) for name, text in words.items()}


def test_queues_with_their_nodes_gpus_and_jobs():
    found = pbs.read(seen())
    assert [queue.name for queue in found.queues] == ["debug", "prod", "large"]
    debug, _, large = found.queues
    assert (debug.is_default, debug.is_open, debug.longest_seconds) == (True, True, 3600)
    assert (debug.nodes, debug.free, debug.busy, debug.down) == (3, 1, 1, 1)
    assert (debug.cpus, debug.memory_mb) == (64, 512 * 1024)
    [gpus] = debug.gpus
    assert (gpus.total, gpus.used, gpus.down, gpus.free) == (12, 4, 4, 4)
    assert (debug.queued, debug.running) == (1, 1)
    assert not large.is_open
    assert (large.nodes, large.partly) == (4, 1)
    assert "queue debug: max_queued [u:PBS_GENERIC=1]" in found.limits


def node(name, **has):
    row = {"state": "free", "resources_available.ncpus": 64, "resources_assigned.ncpus": 0}
    row |= {f"resources_available.{key}": value for key, value in has.items()}
    return f"Name={name}|" + "|".join(f"{key}={value}" for key, value in row.items())


@pytest.mark.parametrize(
    ("chunk", "nodes"),
    [
        ("default_chunk.debug=True", 2),
        ("default_chunk.debug=True|default_chunk.ncpus=1|default_chunk.mem=500mb", 2),
        ("default_chunk.of=small", 3),
        ("default_chunk.of=small|default_chunk.debug=True", 1),
        ("default_chunk.of=mall", 0),
        ("default_chunk.filesystems=home", 5),
        ("total_jobs=0", 5),
    ],
)
def test_a_queue_has_the_nodes_that_its_jobs_may_run_on(chunk, nodes):
    there = [node("a", debug="True", of="large"), node("b", debug="True", of="small\\,large")]
    there += [node(name, debug="False", of="small") for name in "cd"] + [node("e")]
    row = f"Queue: debug|queue_type=Execution|enabled=True|started=True|{chunk}"
    [queue] = pbs.read(seen(queues=row, nodes="\n".join(there), jobs="")).queues
    assert (queue.nodes, queue.free) == (nodes, nodes)
    assert (guessed(queue, (), 60, now=9.0).starts_at is not None) == (nodes > 0)


def test_jobs_with_what_they_need():
    mine, other = pbs.read(seen()).jobs
    assert (mine.mine, mine.waits, mine.cpus, mine.gpus) == (True, True, 64, "gpu x 8")
    assert mine.walltime_seconds == 1800
    assert "Insufficient" in mine.reason
    assert (other.name, other.user, other.mine) == ("a|b", "bob", False)


@pytest.fixture(params=["America/Chicago", "Europe/Berlin"])
def here(request, monkeypatch):
    """This machine in another time zone than the cluster."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("here")
def test_times_of_a_cluster_in_another_zone_are_moments():
    assert "env TZ=UTC0 qstat -f" in pbs.LOOK
    _, other = pbs.read(seen()).jobs
    assert other.starts_at == datetime(2026, 11, 24, 2, 10, tzinfo=UTC).timestamp()
    night = JOBS.replace("Nov 24 02:10", "Oct 25 01:10").replace("Nov 24 02:00", "Oct 25 00:50")
    _, other = pbs.read(seen(jobs=night)).jobs
    assert other.waited_seconds == 1200.0  # the hour that Berlin has twice


def test_a_guess_comes_from_how_long_others_waited():
    inventory = pbs.read(seen())
    debug, _, large = inventory.queues
    start = guessed(debug, inventory.jobs, 1800, now=1000.0)
    assert (start.queue, start.starts_at, start.guess) == ("debug", 1600.0, True)
    assert guessed(large, inventory.jobs, 1800, now=1000.0).starts_at is None
    idle = replace(debug, queued=0)
    assert guessed(idle, inventory.jobs, 1800, now=1000.0).starts_at == 1000.0
    assert guessed(idle, inventory.jobs, None, now=1000.0).starts_at == 1000.0


def test_a_queue_that_takes_no_job_of_that_length_is_no_place_to_start_in():
    inventory = pbs.read(seen())
    idle = replace(inventory.queues[0], queued=0)
    start = guessed(idle, inventory.jobs, 7200, now=1000.0)
    assert (start.starts_at, start.words) == (None, "it allows 1 h 00 min")


def test_accounts_are_those_of_my_last_jobs_the_newest_first():
    rows = (
        "Job Id: 1.host|Account_Name=old\nJob Id: 2.host\nJob Id: 3.host|Account_Name=new\n"
        "Job Id: 4.host|Account_Name=old\nJob Id: 5.host|Account_Name=new"
    )
    assert pbs.read(seen(accounts=rows)).accounts == ("new", "old")
    assert pbs.read(seen()).accounts == ()


def test_advice_names_the_limit():
    said = advice(pbs.read(seen()), ASKED, [], now=0.0)
    assert any("queue debug allows 1 h" in line for line in said), said


def test_other_devices_than_before_are_warned_of():
    inventory = pbs.read(seen())
    asked = Resources(gpus=1, gpu_type="h100", queue="debug")
    said = advice(inventory, asked, ["NVIDIA A100-SXM4-40GB"], now=0.0)
    assert any("not comparable" in line for line in said)
    said = advice(inventory, asked, ["NVIDIA H100 80GB HBM3"], now=0.0)
    assert not any("not comparable" in line for line in said)


@pytest.mark.parametrize(
    "kind, device, same",
    [
        ("a100", "NVIDIA A100-SXM4-40GB", True),
        ("nvidia_h100_80gb_hbm3", "NVIDIA H100 80GB HBM3", True),
        ("tesla_v100-sxm2", "Tesla V100-SXM2-16GB", True),
        ("max1550", "Intel(R) Data Center GPU Max 1550", True),
        ("1550", "Intel(R) Data Center GPU Max 1550", True),
        ("a10", "NVIDIA A100-SXM4-40GB", False),
        ("pvc", "Intel PVC", True),
        ("h200", "NVIDIA GH200 480GB", False),
    ],
)
def test_a_kind_is_known_in_the_spellings_of_sites(kind, device, same):
    said = advice(pbs.read(seen()), replace(ASKED, gpu_type=kind), [device], now=0.0)
    assert any("not comparable" in line for line in said) != same


def test_what_could_not_be_asked_is_said_and_the_rest_is_used():
    found = pbs.read(seen(nodes=Word(1, "cannot connect to server"), jobs=Word(124, "")))
    assert [queue.name for queue in found.queues] == ["debug", "prod", "large"]
    assert found.missing == ("pbsnodes: cannot connect to server", "qstat: it hung")
