"""Answers to a submission that are neither a job nor a trial's fault."""

from local_cluster import request, wait_for

from scheduler.batch.local import LocalBatch
from scheduler.batch.slurm import SlurmBatch
from scheduler.cluster import Cluster
from scheduler.job import Refused, Submitted
from scheduler.settings import LocalBatchSettings, SlurmBatchSettings
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
