"""One look at a cluster: a round trip for what it has, another for when a job would start."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from agents.doctor.heard import Heard, heard, shell
from agents.inventory import Inventory, Start, pbs, slurm, slurm_starts
from agents.inventory.guesses import guesses
from agents.words import count
from scheduler.batch import build_batch_system
from scheduler.errors import Away, ConnectionLost
from scheduler.job import Resources
from scheduler.settings import BatchSettings
from scheduler.transport import Transport

QUESTION_SECONDS = 20
"""Time limit of one command there."""
LOOK_SECONDS = 180.0
ASK_SECONDS = 120
"""Nothing more is asked about starts after this; the last question still has its time."""


def survey(transport: Transport, batch: BatchSettings, asked: Resources | None) -> Inventory:
    """Look at the cluster that `batch` describes; `asked`: a request whose start is wanted.

    `batch.kind` is ``slurm`` or ``pbs``. Raises scheduler.errors.Away.
    """
    prelude = build_batch_system(batch).submit_shell()
    if batch.kind == "pbs":
        inventory = pbs.read(_ask(transport, prelude, pbs.LOOK))
        return replace(inventory, starts=_guesses(inventory, asked))
    inventory = slurm.read(_ask(transport, prelude, slurm.LOOK))
    if asked is None:
        return inventory
    return _with_starts(transport, prelude, inventory, asked)


def _with_starts(
    transport: Transport, prelude: str, inventory: Inventory, asked: Resources
) -> Inventory:
    """The inventory with what Slurm tells of starts. Where it tells nothing, the rest is no less true."""
    questions = slurm_starts.start_questions(asked, inventory.queues, ASK_SECONDS)
    try:
        heard_there = _ask(transport, prelude, questions)
    except Away as error:
        missing = (*inventory.missing, f"sbatch --test-only: {error}")
        return replace(inventory, starts=_guesses(inventory, asked), missing=missing)
    told = slurm_starts.with_guesses(slurm_starts.read_starts(heard_there), inventory, time.time())
    unasked = slurm_starts.read_unasked(heard_there)
    missing = (f"sbatch --test-only: it is slow, no time for {count(unasked, 'more question')}",)
    return replace(
        inventory,
        starts=tuple(told),
        missing=(*inventory.missing, *(missing if unasked else ())),
    )


def tell(transport: Transport, batch: BatchSettings, questions: str) -> Heard:
    """What the scheduler that `batch` describes answers to `questions`, lines of ``ph_hear``.

    Raises scheduler.errors.Away.
    """
    return _ask(transport, build_batch_system(batch).submit_shell(), questions)


def _guesses(inventory: Inventory, asked: Resources | None) -> tuple[Start, ...]:
    """PBS has no question for a job that is not there yet."""
    return () if asked is None else tuple(guesses(inventory, asked, time.time()))


def _ask(transport: Transport, prelude: str, questions: str) -> Heard:
    nonce = secrets.token_hex(8)
    script = f"ph_nonce={nonce}\n{prelude}{shell(QUESTION_SECONDS)}{questions}ph_text end 0 ''\n"
    done = transport.run(script, timeout=LOOK_SECONDS)
    seen = heard(done.stdout, nonce)
    if "end" not in seen:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise ConnectionLost(f"the look at {transport.name} broke off: {said or 'no answer'}")
    return seen
