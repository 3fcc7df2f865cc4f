"""One look at a cluster: a round trip for what it has, another for when a job would start."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from agents.doctor.heard import Heard, heard, shell
from agents.inventory import Inventory, pbs, slurm
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
        seen = _ask(transport, prelude, pbs.LOOK)
        inventory = pbs.read(seen)
        told = pbs.guesses(seen, inventory, asked, time.time()) if asked else []
        return replace(inventory, starts=tuple(told))
    inventory = slurm.read(_ask(transport, prelude, slurm.LOOK))
    if asked is None:
        return inventory
    questions = slurm.start_questions(asked, inventory.queues)
    return replace(inventory, starts=tuple(slurm.read_starts(_ask(transport, prelude, questions))))


def _ask(transport: Transport, prelude: str, questions: str) -> Heard:
    nonce = secrets.token_hex(8)
    script = f"ph_nonce={nonce}\n{prelude}{shell(QUESTION_SECONDS)}{questions}ph_text end 0 ''\n"
    done = transport.run(script, timeout=LOOK_SECONDS)
    seen = heard(done.stdout, nonce)
    if "end" not in seen:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise ConnectionLost(f"the look at {transport.name} broke off: {said or 'no answer'}")
    return seen
