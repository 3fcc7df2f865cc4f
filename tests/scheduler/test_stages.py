"""Where a failed trial failed."""

import pytest

from scheduler.job import Cause, Failure
from scheduler.stages import Stage, stage_of


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_stage(cause):
    assert isinstance(stage_of(Failure(cause, "")), Stage)


@pytest.mark.parametrize(
    ("cause", "message", "stderr", "stage"),
    [
        (Cause.OUT_OF_MEMORY, "", "No space left on device", "resource"),
        (Cause.WALLTIME, "", "", "resource"),
        (Cause.CANNOT_START, "a module could not be loaded", "", "environment"),
        (Cause.BAD_CONFIGURATION, "", "", "configuration"),
        (Cause.DIVERGED, "", "", "training"),
        (Cause.LOST, "", "", "unknown"),
        (Cause.NO_ROOM, "", "", "file system"),
        (Cause.PROGRAM_ERROR, "FileNotFoundError: /data/x.npy", "", "data"),
        (Cause.PROGRAM_ERROR, "exit code 1", "OSError: [Errno 122] Disk quota exceeded", "file system"),
        (Cause.PROGRAM_ERROR, "exit code 1", "urllib.error.URLError: <...>", "network"),
        (Cause.PROGRAM_ERROR, "exit code 1", "libcudart.so.12: cannot open shared object file: "
         "No such file or directory", "environment"),
        (Cause.PROGRAM_ERROR, "ValueError: shapes", "", "training"),
        (Cause.CONTRACT, "the program ended with exit code 0 and wrote no results.json", "", "training"),
        (Cause.CONTRACT, "no results.json", "cp: No space left on device", "file system"),
    ],
)  # fmt: skip
def test_the_stage_is_told_by_the_cause_else_by_the_last_words(cause, message, stderr, stage):
    assert stage_of(Failure(cause, message, stderr_tail=stderr)).value == stage


def test_words_far_above_the_end_tell_nothing():
    stderr = "warning: Connection refused, trying again\n" + "line\n" * 5
    assert stage_of(Failure(Cause.PROGRAM_ERROR, "x", stderr_tail=stderr)) is Stage.TRAINING
