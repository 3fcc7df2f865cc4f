"""The doctor's parts: clocks, quotas, commands, what hangs; and a PBS that answers in PBS's words."""

import math
import shutil

import pytest
from doctor_bench import doctor, write_config
from hypothesis import given
from hypothesis import strategies as st
from test_doctor_cluster import QUEUES, SERVER

from agents.config import load
from agents.doctor import examine as examining
from agents.doctor import remote
from agents.doctor.heard import Word
from agents.doctor.program import needs_of
from agents.doctor.rehearsal import rehearsal_of
from agents.doctor.trial_job import job_checks
from agents.doctor.words import listed, one_line
from agents.words import size_text
from scheduler.job import JobState, Listing, Observation, Submitted


@given(
    skew=st.floats(-1e6, 1e6),
    there=st.floats(0, 100),
    back=st.floats(0, 100),
    work=st.floats(0, 100),
    start=st.floats(1e9, 2e9),
)
def test_clocks_are_never_said_to_differ_by_more_than_they_do(skew, there, back, work, start):
    begin, end = math.floor(start + there + skew), math.floor(start + there + work + skew)
    said = remote.skew_of(begin, end, start, start + there + work + back)
    if said > 0:
        assert said <= skew + 1e-3
    if said < 0:
        assert said >= skew - 1e-3
    if abs(skew) > there + back + 2:
        assert said != 0


def look(**words):
    seen = {"who": Word(0, "me@there"), **{k: Word(0, v) for k, v in words.items()}}
    return remote.Look(seen, 1000.0, 1001.0)


def by_name(checks):
    return {check.name: check for check in checks}


def test_a_clock_that_is_off_is_a_warning_with_its_direction():
    early = by_name(remote.machine_checks(look(begin="400", end="400"), "/x"))["clock"]
    assert (
        early.outcome.value,
        "600 s earlier" in early.seen or "599 s earlier" in early.seen,
    ) == (
        "warning",
        True,
    )
    well = by_name(remote.machine_checks(look(begin="1000", end="1001"), "/x"))["clock"]
    assert well.outcome.value == "ok"


DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda 1000 {used} {free} 1% /my disk"


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ({"space": DF.format(used=1, free=10**9)}, "ok"),
        ({"space": DF.format(used=1, free=1000)}, "warning"),
        ({"inodes": DF.format(used=1, free=50)}, "warning"),
        ({"quota": "Filesystem blocks quota limit grace\n/home 95 100 120 0 1 2 3"}, "warning"),
        ({"quota": "Filesystem blocks quota limit grace\n/home 9* 100 120 0 1 2 3"}, "ok"),
        ({"quota": "Disk quotas for user me (uid 1): none"}, "skipped"),
        ({"lustre": " /scratch 999 0 1000 - 5 0 0 -"}, "warning"),
        ({"lustre": " /scratch 999 0 0 - 5 0 0 -"}, "skipped"),
    ],
)
def test_space_and_quotas(words, outcome):
    check = by_name(remote.machine_checks(look(**words), "/x"))["remote space"]
    assert check.outcome.value == outcome, check
    assert bool(check.remedy) == (outcome == "warning")


@given(st.text())
def test_no_text_of_a_quota_breaks_the_reading(text):
    assert all(use.share >= 0 for use in remote.quota_uses(text))


@pytest.mark.parametrize(
    ("command", "program", "python", "files", "modules"),
    [
        (["{python}", "train.py", "{job_dir}"], "PY", "PY", ["train.py"], []),
        (["{python}", "-u", "-m", "a.b", "x.py"], "PY", "PY", [], ["a.b"]),
        (["{python}", "-W", "ignore", "{code}/t.py"], "PY", "PY", ["{code}/t.py"], []),
        (["{python}", "-c", "print()", "x.py"], "PY", "PY", [], []),
        (["{python}", "{job_dir}/made.py"], "PY", "PY", [], []),
        (["srun", "-n", "2", "python3.11", "t.py"], "srun", "python3.11", ["t.py"], []),
        (["conda", "run", "-n", "e", "python", "t.py"], "conda", None, ["t.py"], []),
        (["uv", "run", "python3", "-m", "a.b"], "uv", None, [], ["a.b"]),
        (["conda", "run", "-n", "e", "{python}", "t.py"], "conda", "PY", ["t.py"], []),
        (["/opt/x/python", "-m", "m"], "/opt/x/python", "/opt/x/python", [], ["m"]),
        (["bash", "run.sh", "{hyperparameters}"], "bash", None, ["run.sh"], []),
        (["./train", "--data", "here"], "./train", None, [], []),
    ],
)
def test_what_a_command_needs(command, program, python, files, modules):
    needs = needs_of(command, "PY")
    assert (needs.program, needs.python) == (program, python)
    assert (list(needs.files), list(needs.modules)) == (files, modules)


def test_words():
    assert [size_text(n) for n in (0, 512, 1536, 10 * 1024**2, 3 * 1024**4)] == [
        "0 B", "512 B", "1.5 KiB", "10 MiB", "3.0 TiB",
    ]  # fmt: skip
    assert one_line("a\n b\tc", 4) == "a b…"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"


# -- what hangs ----------------------------------------------------------------------------------


def stub(directory, name, text):
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)
    return directory


def examined(tmp_path, monkeypatch, **stubs):
    for name, text in stubs.items():
        stub(tmp_path / "bin", name, text)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    config = load(write_config(tmp_path / "work"))
    return by_name(examining.examine(config, examining.Options(), lambda text: None))


def test_a_df_that_hangs_is_ended_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "QUESTION_SECONDS", 3)
    found = examined(tmp_path, monkeypatch, df="sleep 600")
    assert found["remote space"].outcome.value == "warning"
    assert found["training command"].outcome.value == "ok"


def test_a_machine_that_hangs_altogether_ends_the_look(tmp_path, monkeypatch):
    monkeypatch.setattr(examining, "LOOK_SECONDS", 1.0)
    found = examined(tmp_path, monkeypatch, uname="sleep 600")
    assert found["connection"].outcome.value == "failed"
    assert "file system" in found["connection"].remedy
    assert found["scheduler"].outcome.value == "skipped"


# -- PBS -----------------------------------------------------------------------------------------

QSTAT = """\
case "$*" in
  "-B -f") cat {server} ;;
  "-Q -f") cat {queues} ;;
  *) echo "qstat: no such call: $*" >&2; exit 2 ;;
esac"""


@pytest.mark.parametrize(("queue", "outcome"), [("prod", "ok"), ("nosuch", "failed")])
def test_a_pbs_is_asked_for_server_and_queues(tmp_path, monkeypatch, queue, outcome):
    (tmp_path / "server").write_text(SERVER)
    (tmp_path / "queues").write_text(QUEUES)
    stub(
        tmp_path / "bin",
        "qstat",
        QSTAT.format(server=tmp_path / "server", queues=tmp_path / "queues"),
    )
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    cluster = f"cluster: {{batch_system: {{kind: pbs}}, resources: {{queue: {queue}}}}}"
    code, found = doctor(write_config(tmp_path / "work", cluster=cluster))
    assert code == (0 if outcome == "ok" else 1), found
    assert "pbs-host answers" in found["scheduler"]["seen"]
    assert found["account and queue"]["outcome"] == outcome
    assert found["training command"]["outcome"] == "ok"


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs openssh-client")
def test_a_mistyped_host_is_named_and_no_login_is_asked_for(tmp_path):
    cluster = (
        "cluster: {transport: {kind: ssh, host: no-such-machine.invalid}, remote_base: /runs,"
        " batch_system: {kind: slurm}}"
    )
    code, found = doctor(write_config(tmp_path, cluster))
    assert code == 1
    connection = found["connection"]
    assert connection["outcome"] == "failed"
    assert connection["seen"].startswith("cluster.transport.host no-such-machine.invalid: ")
    assert "check its spelling" in connection["remedy"]
    assert "log in" not in connection["seen"] + connection["remedy"]
    assert found["scheduler"]["outcome"] == "skipped"


class Leaving:
    """A cluster whose job has written its last file, and is in its scheduler's hands for two more polls."""

    root = "/base/.examination"

    def __init__(self):
        self.transport, self.seen = self, []

    def prepare(self):
        pass

    def submit(self, requests):
        return {request.name: Submitted(request.name, "1") for request in requests}

    def poll(self, jobs):
        state = JobState.ENDED if self.seen.count("poll") >= 2 else JobState.RUNNING
        self.seen.append("poll")
        listing = Listing("1", state)
        return {job.name: Observation(job.name, listing, True, 1, None) for job in jobs}

    def run(self, script, timeout):
        self.seen.append("removed")


def test_files_of_a_tiny_job_are_removed_when_its_scheduler_is_done_with_it(tmp_path):
    # PBS copies the job's log at its end, and keeps trying where there is no directory to copy it to.
    settings = load(write_config(tmp_path), ["cluster.poll.floor=0.05s"]).settings
    cluster = Leaving()
    rehearsal = rehearsal_of(settings, cluster.root, "nonce")
    job_checks(cluster, rehearsal, settings, "/base", 60.0, lambda doing: None)
    assert cluster.seen == ["poll", "poll", "poll", "removed"]
