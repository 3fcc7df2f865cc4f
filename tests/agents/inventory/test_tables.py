"""What ``resources`` and ``queue`` print at eighty columns."""

import io

from rich.console import Console

from agents.commands.resources import _job_table, _queue_table
from agents.inventory import Inventory, Queue, QueuedJob


def shown(table):
    console = Console(width=80, file=io.StringIO())
    console.print(table)
    lines = console.file.getvalue().splitlines()
    cells = [line.strip("│").split("│") for line in lines if line.startswith("│")]
    return ["".join(part.strip() for part in column) for column in zip(*cells, strict=True)]


def test_a_queue_has_its_whole_name():
    found = Inventory("slurm", queues=(Queue("gpuA100x4-interactive", is_default=True, nodes=3),))
    assert shown(_queue_table(found, 80))[0].startswith("gpuA100x4-interactive")


def test_a_job_has_its_whole_number_and_queue():
    job = QueuedJob(
        "12345678_100", "job_fashion_iter_001_trial_0000-ae4d32-0.1", "a_long_user_name", "PENDING",
        "gpuA100x4-interactive", 1, 16, "gpu:a100:4", 172800, None, "QOSMaxJobsPerUserLimit", True,
    )  # fmt: skip
    columns = shown(_job_table([job], 80))
    assert columns[0].replace(" ", "") == "*12345678_100"
    assert columns[4] == "gpuA100x4-interactive"
