"""Why a trial failed, where several things speak: its own files, the job that it shares, noise."""

import pytest

from scheduler.batch.slurm import SlurmBatch
from scheduler.job import Cause, JobRef, JobState, Listing, Observation
from scheduler.outcome import Circumstances, judge
from scheduler.polling import read_observations
from scheduler.retry import Attempt, Resources, decide
from scheduler.sentinel import read_sentinel
from scheduler.settings import RetrySettings, SlurmBatchSettings
from scheduler.shell import Frame


def failure(exit_code, stderr="", listing=None, *, started=True, shares_job=False):
    seen = Observation("job", listing, started, exit_code, None, stderr_tail=stderr)
    return judge(seen, Circumstances(0, 500.0, 120.0, shares_job=shares_job)).failure


def ended(cause=None, code=None):
    return Listing("1", JobState.ENDED, "FAILED", exit_code=code, cause=cause)


@pytest.mark.parametrize(
    "said",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "error: out of memory with batch_size 256: HIP out of memory. Tried",
        "RuntimeError: XPU out of memory, please use empty_cache",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate",
        "RuntimeError: level_zero backend failed: UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY",
    ],
)
def test_a_full_gpu_is_not_run_again_with_more_memory_of_the_node(said):
    found = failure(1, f"Traceback\n{said}\n")
    assert found.cause is Cause.OUT_OF_DEVICE_MEMORY
    assert decide([Attempt(Resources(memory_mb=4096), found.cause)], RetrySettings()) is None


@pytest.mark.parametrize("said", ["MemoryError", "slurmstepd: error: Detected 1 oom_kill event"])
def test_a_full_node_still_is(said):
    assert failure(1, said).cause is Cause.OUT_OF_MEMORY


def test_noise_before_the_error_does_not_name_the_cause():
    noise = "Using the default configuration\nwarning: ImportError: libjpeg\nTraceback:\n a\n b\n"
    assert failure(1, f"{noise}ValueError: no such layer\n").cause is Cause.PROGRAM_ERROR
    last = f"{noise}ModuleNotFoundError: No module named 'torch'\nsrun: error: n1: task 0: Exited\n"
    assert failure(1, last).cause is Cause.CANNOT_START


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("96", Cause.CANNOT_START),  # as versions before this one wrote it, and templates of people
        ("97", Cause.CANNOT_START),
        ("98", Cause.CANNOT_START),
        ("124", Cause.WALLTIME),
        ("127", Cause.CANNOT_START),
        ("3", Cause.PROGRAM_ERROR),
        ("96 module", Cause.CANNOT_START),
        ("97 directory", Cause.CANNOT_START),
        ("98 setup", Cause.CANNOT_START),
        ("124 walltime", Cause.WALLTIME),
        ("127 program", Cause.CANNOT_START),
        ("143 stopped", Cause.PREEMPTED),
        ("96 program", Cause.PROGRAM_ERROR),
        ("98 program", Cause.PROGRAM_ERROR),
        ("124 program", Cause.PROGRAM_ERROR),
        ("98 tomorrow", Cause.PROGRAM_ERROR),
    ],
)
def test_who_ended_the_job_is_told_by_a_word_beside_the_code(text, cause):
    frames = [Frame("listing", "0", b"END|"), Frame("exit", "job", text.encode()),
              Frame("end", "-", b"")]  # fmt: skip
    batch = SlurmBatch(SlurmBatchSettings(kind="slurm"))
    seen = read_observations(frames, [JobRef("job", "job", None)], batch)["job"]
    known = Circumstances(0, 500.0, 120.0, walltime_seconds=3600.0)
    assert judge(seen, known).failure.cause is cause


@pytest.mark.parametrize("text", ["", "\n", "9x", "-1", "12 ", "program", "1 2 3", "1" * 20])
def test_what_is_no_sentinel_is_none(text):
    assert (read_sentinel(text) is None) is (text != "12 ")


def test_a_program_without_a_result_is_told_where_it_belongs():
    found = failure(0)
    assert found.cause is Cause.CONTRACT
    assert "no results.json beside its hyperparameters.json" in found.message
    assert "{job_dir}" in found.message and "{adapt}" in found.message
    assert len(found.message) < 200, "the screen cuts what is longer"


@pytest.mark.parametrize(
    "setup",
    [
        "job: 60: module: not found",
        "bash: module: command not found",
        "job: 60: .: cannot open env/bin/activate: No such file",
        "Could not find conda environment: hpo",
        "CondaError: Run 'conda init' before 'conda activate'",
    ],
)
def test_what_the_setup_did_not_find_stands_before_the_command_that_it_should_have_brought(setup):
    command = "job: 61: python: not found"
    assert failure(127, f"{setup}\n{command}\n").message == (
        f"the training command was not found: {command}; before that: {setup}"
    )
    assert "before that" not in failure(127, f"loading gcc\n{command}\n").message


@pytest.mark.parametrize("cause", [Cause.OUT_OF_MEMORY, Cause.PREEMPTED, Cause.CANCELLED])
def test_the_end_of_a_shared_job_is_not_that_of_a_trial_that_had_failed_by_itself(cause):
    listing = ended(cause)
    assert failure(1, "ValueError: x", listing, shares_job=True).cause is Cause.PROGRAM_ERROR
    assert failure(143, "", listing, shares_job=True).cause is cause
    assert failure(None, "", listing, shares_job=True).cause is cause
    assert failure(1, "ValueError: x", listing).cause is cause


def test_a_job_that_left_nothing_says_what_the_batch_system_knows():
    found = failure(None, listing=ended(code=97), started=False)
    assert found.cause is Cause.LOST
    assert "FAILED, exit code 97" in found.message
    assert "cluster.remote_base" in found.message
    packed = failure(None, listing=ended(code=0), started=False, shares_job=True).message
    assert "cluster.pack.launch" in packed
    begun = failure(None, listing=ended(code=1)).message
    assert "FAILED, exit code 1" in begun
    assert "remote_base" not in begun
    assert "says" not in failure(None).message
    assert "routing queue" not in failure(None).message
    assert "routing queue" in failure(None, started=False).message


@pytest.mark.parametrize(
    ("ran_for", "cause"),
    [(3500.0, Cause.WALLTIME), (600.0, Cause.PREEMPTED), (None, Cause.PREEMPTED)],
)
def test_where_nobody_says_why_a_job_was_stopped_its_time_does(ran_for, cause):
    seen = Observation("job", None, True, 143, None)
    known = Circumstances(0, None, 120.0, walltime_seconds=3600.0, ran_for=ran_for)
    assert judge(seen, known).failure.cause is cause


def test_what_a_program_said_is_told_without_its_colours_and_bells():
    raw = b"90%\r100%\n\x1b[31mValueError:\x1b[0m no \x07\xe2\x80\xaeway\n"
    frames = [
        Frame("listing", "0", b"END|"),
        Frame("exit", "job", b"3"),
        Frame("stderr", "job", raw),
        Frame("end", "-", b""),
    ]
    batch = SlurmBatch(SlurmBatchSettings(kind="slurm"))
    seen = read_observations(frames, [JobRef("job", "job", None)], batch)["job"]
    found = judge(seen, Circumstances(0, 500.0, 120.0))
    assert (
        found.failure.message
        == "the program ended with exit code 3: ValueError: no \ufffd\ufffdway"
    )


@pytest.mark.parametrize(
    "said",
    [
        "OSError: [Errno 122] Disk quota exceeded: '/scratch/me/last.pt'",
        "mv: cannot move 'a' to 'b': No space left on device",
        "RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 640 vs 534",
        "RuntimeError: write(): fd 3 failed with Disk quota exceeded",
        "OSError: 3000000 requested and 388080 written",
        "OSError: Not enough free space to write 24000000 bytes after offset 128",
    ],
)
def test_a_disk_that_is_full_is_not_the_programs_fault(said):
    found = failure(1, f"Traceback\n{said}\n")
    assert found.cause is Cause.NO_ROOM
    assert "quota" in found.message
    assert found.message.endswith(said)
    warned = failure(1, f"warning: {said}\n\n\nTraceback\n a\n b\nValueError: shapes\n")
    assert warned.cause is Cause.PROGRAM_ERROR


def unsaid(listing=None):
    seen = Observation("job", listing, True, None, None, is_sentinel_empty=True)
    return judge(seen, Circumstances(0, 500.0, 120.0)).failure


def test_an_exit_code_that_could_not_be_written_tells_of_the_disk():
    assert unsaid().cause is Cause.NO_ROOM
    assert unsaid(ended(Cause.NODE_FAILURE)).cause is Cause.NO_ROOM
    assert unsaid(ended(Cause.PREEMPTED)).cause is Cause.PREEMPTED
