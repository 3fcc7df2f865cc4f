"""A job or a request may name several partitions: it belongs to each of them."""

import pytest

from agents.detect import choices
from agents.detect.choices import Wishes, queue_of
from agents.doctor.heard import Word
from agents.doctor.slurm import SlurmProber
from agents.errors import ConfigurationError
from agents.inventory import Gpus, Inventory, Queue, Start, guessed
from agents.inventory.advice import advice
from agents.inventory.slurm import read
from agents.inventory.slurm_starts import start_questions
from scheduler.job import Resources
from scheduler.settings import SlurmBatchSettings

V100, RTX = Queue("v100", nodes=4, gpus=(Gpus("v100", 16, 0),)), Queue("rtx", nodes=4,
    longest_seconds=1800, gpus=(Gpus("rtx8000", 16, 0),))  # fmt: skip
OTHER = Queue("a100", nodes=1, gpus=(Gpus("a100", 4, 0),))
KNOWN = Inventory("slurm", (OTHER, RTX, V100))
SQUEUE = """\
7|bob|RUNNING|rtx|1|4|10:00|2000|None|N/A|1400|x
9|bob|PENDING|v100,rtx|1|4|10:00|9000|Priority|N/A|1000|x"""


def test_a_job_waits_in_each_of_its_partitions():
    parts = "\n".join(f"PartitionName={name} State=UP" for name in ("a100", "rtx", "v100"))
    found = read({"queues": Word(0, parts), "jobs": Word(0, SQUEUE)})
    assert [(q.name, q.queued, q.running) for q in found.queues] == [
        ("a100", 0, 0), ("rtx", 1, 1), ("v100", 1, 0),
    ]  # fmt: skip
    busy = Queue("rtx", nodes=2, free=1, queued=1)
    assert guessed(busy, found.jobs, 60, now=5000.0).starts_at == 5600.0


def test_a_request_for_several_is_none_for_a_queue_that_does_not_exist():
    said = advice(KNOWN, Resources(queue="rtx,v100", gpus=1, walltime_seconds=3600), [], 0.0)
    assert not any("no queue" in line or "allows" in line for line in said), said
    said = advice(KNOWN, Resources(queue="rtx,p100", gpus=1), [], 0.0)
    assert any(line.startswith("there is no queue p100: ") for line in said)


def test_what_none_of_them_allows_is_said():
    inventory = Inventory("slurm", (RTX, Queue("cpu", nodes=1)))
    said = advice(inventory, Resources(queue="rtx,cpu", gpus=1, walltime_seconds=3600), [], 0.0)
    assert any("queue rtx allows 30 min" in line for line in said)
    assert any("queue cpu has no GPUs" in line for line in said)


def test_the_first_start_of_several_is_that_of_the_request():
    starts = tuple(Start(name, 60, at) for name, at in (("rtx", 9000.0), ("v100", 0.0)))
    asked = Resources(queue="rtx,v100", walltime_seconds=60, gpus=1)
    said = advice(Inventory("slurm", KNOWN.queues, starts=starts), asked, ["Tesla P100"], 0.0)
    assert said[0] == "first start: queue v100, now"
    assert "new ones would run on rtx8000 or v100" in said[-1]
    questions = start_questions(asked, KNOWN.queues, 9)
    assert questions.index("start:rtx:") < questions.index("start:a100:")


def test_init_takes_several_and_keeps_to_what_each_allows():
    choice = queue_of(Wishes(queue="rtx,v100"), KNOWN, None)
    assert choice.value == "rtx,v100"
    assert choices.strictest(choice, KNOWN) == RTX
    with pytest.raises(ConfigurationError, match="--queue p100: there are a100, rtx, v100"):
        queue_of(Wishes(queue="rtx,p100"), KNOWN, None)


@pytest.mark.parametrize(
    ("queue", "outcome", "words"),
    [
        ("short,long", "ok", "would take"),
        ("short", "failed", "allows 30:00:"),
        ("short,shorter", "failed", "short,shorter allows 30:00, 10:00:"),
        ("closed", "warning", "is down"),
        ("closed,long", "ok", "would take"),
        ("short,hidden", "ok", "would take"),
    ],
)
def test_the_doctor_wants_one_that_takes_the_job(queue, outcome, words):
    partitions = "short|up|30:00\nshorter|up|10:00\nlong|up|infinite\nclosed|down|1:00:00"
    seen = {"squeue": Word(0, ""), "partitions": Word(0, partitions)}
    prober = SlurmProber(SlurmBatchSettings(kind="slurm"))
    check = prober.request(seen, Word(0, ""), Resources(queue=queue, walltime_seconds=3600))
    assert (check.outcome.value, words in check.seen) == (outcome, True), check
