"""The doctor on a real Slurm, over a real sshd, and on PBS's words: each part broken for real."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from doctor_bench import doctor, left, outcomes, write_config
from lab_fixtures import accounting_slurm  # noqa: F401
from loopback_sshd import LoopbackSshd, need_sshd

from agents.doctor.heard import Word
from agents.doctor.pbs import PbsProber, sections
from scheduler.job import Resources
from scheduler.settings import PbsBatchSettings

pytestmark = pytest.mark.cluster

SLURM = "cluster: {batch_system: {kind: slurm}, poll: {floor: 0.2s}, resources: {RESOURCES}}"


@pytest.fixture
def lab(accounting_slurm, monkeypatch):  # noqa: F811
    for key, value in accounting_slurm.environment.items():
        monkeypatch.setenv(key, value)
    return accounting_slurm


def slurm_config(directory, resources=""):
    return write_config(directory, cluster=SLURM.replace("RESOURCES", resources))


def test_a_slurm_that_is_well_would_take_the_job(lab, tmp_path):
    code, found = doctor(slurm_config(tmp_path, "queue: debug, cpus: 1, walltime: 2m"))
    assert code == 0, found
    assert " answers; jobs of yours: 0" in found["scheduler"]["seen"]
    assert "would take the job, in debug at 2" in found["account and queue"]["seen"]
    assert left(tmp_path) == ["config.yaml", "train.py"]
    assert lab.client("squeue", "-h").stdout == ""


@pytest.mark.parametrize(
    ("resources", "remedy"),
    [
        ("queue: nosuch", "cluster.resources.queue to one of: debug, scavenge, urgent"),
        ("account: nosuch", "cluster.resources.account to one of yours: proj1"),
        ("queue: debug, walltime: 9h", "walltime to the partition's limit"),
        ("gpus: 9", "lower nodes, cpus, memory, gpus"),
        ("nodes: 7", "lower nodes, cpus, memory, gpus"),
        ("directives: {qos: nosuch}", "qos"),
    ],
)
def test_a_job_that_slurm_would_not_take(lab, tmp_path, resources, remedy):
    code, found = doctor(slurm_config(tmp_path, resources))
    assert (code, found["account and queue"]["outcome"]) == (1, "failed"), found
    assert remedy in found["account and queue"]["remedy"], found["account and queue"]
    assert left(tmp_path) == ["config.yaml", "train.py"]


def test_what_overrides_ask_for_is_checked_as_well(lab, tmp_path):
    config = slurm_config(tmp_path, "walltime: 2m")
    overrides = "[{when: {x: [0.7, 1]}, gpus: 9}, {when: {x: 0.1}, walltime: 3m}]"
    code, found = doctor(config, "--set", f"cluster.overrides={overrides}")
    assert code == 1
    assert found["account and queue"]["outcome"] == "ok"
    assert found["account and queue (x=0.1)"]["outcome"] == "ok"
    assert "lower nodes" in found["account and queue (x=0.7)"]["remedy"]


def test_a_tiny_job_goes_through_slurm_and_leaves_nothing(lab, tmp_path):
    code, found = doctor(slurm_config(tmp_path, "cpus: 1, walltime: 2m"), "--job")
    assert (code, found["job"]["outcome"]) == (0, "ok"), found["job"]
    assert lab.host in found["job"]["seen"]
    assert left(tmp_path) == ["config.yaml", "train.py"]


def test_a_tiny_job_that_waits_is_cancelled(lab, tmp_path):
    config = slurm_config(tmp_path, "queue: down, walltime: 2m")
    _, found = doctor(config, "--job", "--job-limit", "1s")
    assert found["account and queue"]["outcome"] == "warning"
    assert found["job"]["outcome"] == "warning"
    lab.wait_until_empty()
    assert left(tmp_path) == ["config.yaml", "train.py"]


def test_a_controller_that_is_down_or_frozen(lab, tmp_path):
    config = slurm_config(tmp_path)
    lab.signal_controller(signal.SIGSTOP)
    try:
        code, found = doctor(config)
    finally:
        lab.signal_controller(signal.SIGCONT)
    assert (code, found["scheduler"]["outcome"]) == (1, "failed")
    lab.stop_controller()
    try:
        code, found = doctor(config)
    finally:
        lab.start_controller()
        lab.wait_until_idle()
    assert (code, found["scheduler"]["outcome"]) == (1, "failed")
    assert "status page" in found["scheduler"]["remedy"]
    assert found["account and queue"]["outcome"] == "skipped"
    assert found["training command"]["outcome"] == "ok"


def test_a_machine_without_slurm(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in (
        "sh",
        "date",
        "id",
        "uname",
        "mkdir",
        "rm",
        "mv",
        "df",
        "awk",
        "cat",
        "head",
        "timeout",
    ):
        (tools / name).symlink_to(shutil.which(name))
    code, found = doctor(slurm_config(tmp_path), PATH=str(tools))
    assert (code, found["scheduler"]["outcome"]) == (1, "failed")
    assert "bin_directory" in found["scheduler"]["remedy"]


# -- over ssh ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(accounting_slurm, tmp_path_factory):  # noqa: F811
    need_sshd()
    server = LoopbackSshd(tmp_path_factory.mktemp("site"), environment=accounting_slurm.environment)
    server.start()
    yield server
    server.close()


def ssh_config(directory, transport, base):
    return write_config(
        directory,
        cluster=f"cluster: {{transport: {transport}, batch_system: {{kind: slurm}}, "
        f"remote_base: '{base}', python: '{sys.executable}', resources: {{walltime: 2m}}}}",
    )


def test_over_ssh_it_needs_the_persons_connection_and_then_two_round_trips(site, tmp_path):
    socket = Path(site.directory) / "own.sock"
    transport = f"{{kind: ssh, host: noisy, config_file: {site.config}, control_path: {socket}}}"
    config = ssh_config(tmp_path, transport, f"{tmp_path}/far/runs")
    code, found = doctor(config)
    assert (code, found["connection"]["outcome"]) == (1, "failed")
    assert f"connect --config {config}" in found["connection"]["remedy"]
    assert found["scheduler"]["outcome"] == "skipped"
    opened = f"ssh -F {site.config} -M -S {socket} -N -f -o ControlPersist=60 noisy"
    assert os.system(opened + " 2>/dev/null") == 0
    before = site.log.read_text().count("Starting session")
    try:
        code, found = doctor(config)
        sessions = site.log.read_text().count("Starting session") - before
    finally:
        os.system(f"ssh -F {site.config} -S {socket} -O exit noisy 2>/dev/null")
    assert code == 0, found
    assert set(outcomes(found).values()) <= {"ok", "skipped"}, found
    assert sessions == 2
    assert "is made by the first run" in found["remote directory"]["seen"]
    assert left(tmp_path) == ["config.yaml", "train.py"]


def test_a_machine_that_is_not_there(site, tmp_path):
    port = site.ports["missing"]
    transport = (
        f"{{kind: paramiko, host: 127.0.0.1, port: {port}, key_file: {site.key}, "
        f"known_hosts: {site.known_hosts}, connect_timeout: 2s}}"
    )
    code, found = doctor(ssh_config(tmp_path, transport, tmp_path / "far"))
    assert (code, found["connection"]["outcome"]) == (1, "failed")
    assert found["connection"]["remedy"]


# -- PBS's words ---------------------------------------------------------------------------------

SERVER = """\
Server: pbs-host
    server_state = Active
    default_queue = prod
    comment = a line that
\tgoes on
"""
QUEUES = """\
Queue: debug
    queue_type = Execution
    resources_max.walltime = 00:05:00
    enabled = True
    started = True

Queue: prod
    queue_type = Execution
    resources_min.walltime = 00:00:05
    enabled = True
    started = True

Queue: closed
    queue_type = Execution
    enabled = False
    started = True

Queue: stopped
    queue_type = Execution
    enabled = True
    started = False
"""


@pytest.mark.parametrize(
    ("asked", "outcome", "remedy"),
    [
        (Resources(queue="debug", walltime_seconds=300), "ok", ""),
        (Resources(walltime_seconds=300), "ok", ""),
        (Resources(queue="prod", account="proj"), "ok", ""),
        (Resources(queue="nosuch"), "failed", "one of: debug, prod"),
        (Resources(queue="closed"), "failed", "one of: debug, prod"),
        (Resources(queue="debug", walltime_seconds=301), "failed", "lower"),
        (Resources(queue="prod", walltime_seconds=1), "failed", "raise"),
        (Resources(queue="stopped"), "warning", "other queues: debug, prod"),
    ],
)
def test_a_pbs_queue_is_judged_by_its_state_and_limits(asked, outcome, remedy):
    seen = {"server": Word(0, SERVER), "queues": Word(0, QUEUES)}
    prober = PbsProber(PbsBatchSettings(kind="pbs"))
    check = prober.request(seen, None, asked)
    assert check.outcome.value == outcome
    assert remedy in check.remedy
    assert prober.scheduler(seen).outcome.value == "ok"


def test_lines_that_pbs_broke_are_whole_again():
    assert sections(SERVER, "Server")["pbs-host"]["comment"] == "a line thatgoes on"


def test_a_pbs_that_does_not_answer():
    refused = Word(
        255, "Connection refused\nqstat: cannot connect to server pbs-host (errno=15010)"
    )
    prober = PbsProber(PbsBatchSettings(kind="pbs"))
    assert "cannot connect" in prober.scheduler({"server": refused}).seen
    assert prober.scheduler({"server": Word(127, "")}).remedy.startswith("set cluster.batch_system")
    assert prober.request({"server": refused}, None, Resources()).outcome.value == "skipped"
