"""What ``resources`` and ``queue`` print at eighty columns."""

import io

from rich.console import Console
from rich.table import Table

from agents.commands.resources import _job_table, _queue_table
from agents.inventory import Inventory, Queue, QueuedJob


def shown(table):
    console = Console(width=80, file=io.StringIO(), soft_wrap=True)
    console.print(table)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    return " ".join(" ".join(lines).replace("│", " ").split())


def test_a_queue_has_its_whole_name():
    for name in ("scavenge", "gpuA100x4-interactive"):
        queue = Queue(name, is_default=True, longest_seconds=172800, nodes=3, cpus=16)
        assert name in shown(_queue_table(Inventory("slurm", queues=(queue,)), 80))


def test_queues_are_a_table_where_no_word_has_to_be_broken():
    found = Inventory("slurm", queues=(Queue("gpuA100x4-interactive", nodes=3),))
    assert isinstance(_queue_table(found, 140), Table)
    assert not isinstance(_queue_table(found, 80), Table)


def test_a_job_has_its_whole_number_name_and_queue_and_says_why_it_waits():
    job = QueuedJob(
        "12345678_100", "job_fashion_iter_001_trial_0000-ae4d32-0.1", "a_long_user_name", "PENDING",
        "gpuA100x4-interactive", 1, 16, "gpu:a100:4", 172800, None, "QOSMaxJobsPerUserLimit", True,
    )  # fmt: skip
    text = shown(_job_table([job], 80))
    for word in ("* 12345678_100", job.name, job.user, job.queue, job.gpus, "16 cores", job.reason):
        assert word in text
