"""Answers to a submission that are neither a job nor a trial's fault."""

import pytest
from local_cluster import request, wait_for

from scheduler.batch.local import LocalBatch
from scheduler.batch.pbs import PbsBatch
from scheduler.batch.slurm import SlurmBatch
from scheduler.cluster import Cluster
from scheduler.job import InDoubt, Refused, Submitted, Unwritable
from scheduler.settings import LocalBatchSettings, PbsBatchSettings, SlurmBatchSettings
from scheduler.transports.local import LocalTransport


def test_a_command_that_is_not_there_is_no_failure_of_the_trial(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    batch = SlurmBatch(SlurmBatchSettings(kind="slurm"))
    monkeypatch.setattr(batch, "submit_shell", lambda: "ph_submit() { ph_no_sbatch; }\n")
    cluster = Cluster(LocalTransport(), batch, str(tmp_path), "run")
    cluster.prepare()
    answer = cluster.submit([request("job", "pass")])["job"]
    assert isinstance(answer, Refused)
    assert answer.backpressure
    assert "bin_directory" in answer.message


def test_a_submission_in_doubt_tells_what_its_command_said(tmp_path, monkeypatch):
    batch = PbsBatch(PbsBatchSettings(kind="pbs"))
    said = "echo Connection refused >&2; echo 'qsub: cannot connect to server a' >&2; return 162"
    monkeypatch.setattr(batch, "submit_shell", lambda: f"ph_submit() {{ {said}; }}\n")
    for found in ("return 1", "true"):
        monkeypatch.setattr(batch, "find_shell", lambda found=found: f"ph_find() {{ {found}; }}\n")
        cluster = Cluster(LocalTransport(), batch, str(tmp_path), "run")
        cluster.prepare()
        for _ in range(2):
            answer = cluster.submit([request("job", "pass")])["job"]
            assert isinstance(answer, InDoubt)
            assert answer.why == "Connection refused; qsub: cannot connect to server a"


def answered(tmp_path, submit_shell):
    """What comes of one job where that stands for the batch system's own submission."""
    batch = LocalBatch(LocalBatchSettings())
    batch.submit_shell = lambda: submit_shell
    cluster = Cluster(LocalTransport(), batch, str(tmp_path), "run")
    cluster.prepare()
    return cluster.submit([request("job", "pass")])["job"]


NO_ROOM_FOR_A_WORD = "echo() { return 1; }\nph_submit() { : > ../asked; }\n"


def test_a_mark_that_finds_no_room_is_a_full_disk_and_no_doubt(tmp_path):
    """An empty file can be made where no byte fits: nobody was asked."""
    assert isinstance(answered(tmp_path, NO_ROOM_FOR_A_WORD), Unwritable)
    assert (tmp_path / "run" / "dir_job" / "submitting").read_text() == ""
    assert not (tmp_path / "run" / "asked").exists()


@pytest.mark.parametrize(
    "said",
    ["echo 'sbatch: error: No space left on device' >&2; return 1", "return 1"],
)
def test_a_full_disk_of_a_batch_system_is_no_failure_of_the_trial(tmp_path, said):
    answer = answered(tmp_path, f"ph_submit() {{ {said}; }}\n")
    assert isinstance(answer, Refused)
    assert answer.backpressure
    assert "No space left" in answer.message or "a disk full there" in answer.message


class Forgetful(LocalBatch):
    """Names the job inside a job, and lists none that has ended."""

    job_id_variable = "42"

    def find_shell(self):
        return "ph_find() { :; }\n"


def test_a_job_that_began_is_found_by_its_lock_where_the_batch_system_forgot_it(tmp_path):
    batch = Forgetful(LocalBatchSettings())
    cluster = Cluster(LocalTransport(), batch, str(tmp_path), "run")
    cluster.prepare()
    job = request("job", "open('runs', 'a').write('x')")
    place = tmp_path / "run" / "dir_job"
    cluster.submit([job])
    wait_for((place / "exit_code").exists)
    (place / "job.id").unlink()  # As if the answer had never come.
    (place / "submitting").write_text("1000000000\n")
    assert cluster.submit([job]) == {"job": Submitted("job", "42")}
    assert (place / "runs").read_text() == "x"
    assert not (place / "job.id").exists()


class Wordy(LocalBatch):
    """A wrapper around its submission says no id that anybody could read."""

    def submit_shell(self):
        shell = super().submit_shell().replace("ph_submit()", "ph_quiet_submit()")
        return f"""{shell}
ph_submit() {{ ph_quiet_submit "$@" > /dev/null || return; echo "Job of today submitted"; }}
"""

    def parse_submit(self, answer):
        text = answer.stdout.strip()
        return None if " " in text else text


class Vague(Wordy):
    """And nothing is found by name either."""

    def find_shell(self):
        return "ph_find() { :; }\n"


def test_a_job_taken_without_an_id_is_found_by_its_name(tmp_path):
    cluster = Cluster(LocalTransport(), Wordy(LocalBatchSettings()), str(tmp_path), "run")
    cluster.prepare()
    job = request("job", "open('runs', 'a').write('x')")
    assert cluster.submit([job]) == {"job": Submitted("job", "job")}
    place = tmp_path / "run" / "dir_job"
    wait_for((place / "exit_code").exists)
    assert cluster.submit([job]) == {"job": Submitted("job", "job")}
    assert (place / "runs").read_text() == "x"
    assert not (place / "job.id").exists()


def test_a_job_taken_without_an_id_and_never_found_is_not_submitted_again(tmp_path, monkeypatch):
    batch = Vague(LocalBatchSettings())
    cluster = Cluster(LocalTransport(), batch, str(tmp_path), "run")
    cluster.prepare()
    job = request("job", "pass")
    shell = "ph_submit() { echo x >> calls; echo 'Job of today submitted'; }\n"
    monkeypatch.setattr(batch, "submit_shell", lambda: shell)
    for _ in range(2):
        answer = cluster.submit([job])["job"]
        assert isinstance(answer, InDoubt)
        assert answer.accepted
    place = tmp_path / "run" / "dir_job"
    (place / "submitting").write_text("1000000000\n")
    answer = cluster.submit([job])["job"]
    assert isinstance(answer, Refused)
    assert not answer.backpressure
    assert "'Job of today submitted" in answer.message
    assert (place / "calls").read_text() == "x\n"


def test_a_job_taken_without_an_id_that_began_is_judged_by_its_files(tmp_path):
    """Its lock holds no id here, so that it stays in doubt: until its files tell."""
    cluster = Cluster(LocalTransport(), Vague(LocalBatchSettings()), str(tmp_path), "run")
    cluster.prepare()
    job = request("job", "open('runs', 'a').write('x')")
    cluster.submit([job])
    place = tmp_path / "run" / "dir_job"
    wait_for((place / "exit_code").exists)
    (place / "submitting").write_text("1000000000\n")
    answer = cluster.submit([job])["job"]
    assert isinstance(answer, InDoubt)
    assert answer.accepted
    assert (place / "runs").read_text() == "x"
