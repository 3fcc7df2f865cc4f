"""One look at a cluster: a round trip for what it has, another for when a job would start."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from agents.doctor.heard import Heard, heard, shell
from agents.inventory import Inventory, Start, guessed, pbs, slurm
from scheduler.batch import build_batch_system
from scheduler.errors import ConnectionLost
from scheduler.job import Resources
from scheduler.settings import BatchSettings
from scheduler.transport import Transport

QUESTION_SECONDS = 20
"""Time limit of one command there."""
LOOK_SECONDS = 180.0


def survey(transport: Transport, batch: BatchSettings, asked: Resources | None) -> Inventory:
    """Look at the cluster that `batch` describes; `asked`: a request whose start is wanted.

    `batch.kind` is ``slurm`` or ``pbs``. Raises scheduler.errors.Away.
    """
    prelude = build_batch_system(batch).submit_shell()
    if batch.kind == "pbs":
        inventory = pbs.read(_ask(transport, prelude, pbs.LOOK))
        return replace(inventory, starts=tuple(_guesses(inventory, asked)))
    inventory = slurm.read(_ask(transport, prelude, slurm.LOOK))
    if asked is None:
        return inventory
    questions = slurm.start_questions(asked, inventory.queues)
    told = slurm.read_starts(_ask(transport, prelude, questions))
    return replace(inventory, starts=tuple(slurm.with_guesses(told, inventory, time.time())))


def tell(transport: Transport, batch: BatchSettings, questions: str) -> Heard:
    """What the scheduler that `batch` describes answers to `questions`, lines of ``ph_hear``.

    Raises scheduler.errors.Away.
    """
    return _ask(transport, build_batch_system(batch).submit_shell(), questions)


def _guesses(inventory: Inventory, asked: Resources | None) -> list[Start]:
    """PBS has no question for a job that is not there yet."""
    if asked is None:
        return []
    walltime, now = asked.walltime_seconds, time.time()
    return [
        guessed(queue, inventory.jobs, walltime, now) for queue in inventory.queues if queue.is_open
    ]


def _ask(transport: Transport, prelude: str, questions: str) -> Heard:
    nonce = secrets.token_hex(8)
    script = f"ph_nonce={nonce}\n{prelude}{shell(QUESTION_SECONDS)}{questions}ph_text end 0 ''\n"
    done = transport.run(script, timeout=LOOK_SECONDS)
    seen = heard(done.stdout, nonce)
    if "end" not in seen:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise ConnectionLost(f"the look at {transport.name} broke off: {said or 'no answer'}")
    return seen
