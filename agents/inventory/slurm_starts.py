"""When a job would start, asked of Slurm by ``sbatch --test-only``, and reading it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from agents.doctor.heard import Heard, Word
from agents.inventory import Inventory, Queue, Start, guessed, names_of
from agents.inventory.times import moment
from scheduler.batch.slurm import SlurmBatch
from scheduler.job import Resources
from scheduler.shell import quote


def start_questions(asked: Resources, queues: Sequence[Queue], seconds: int) -> str:
    """Asks when the request would start, as it is and shorter, in each queue that is open.

    Begins no question after `seconds`: where each takes long, the look as a whole would fail.
    """
    batch_lines = "\n".join(
        line
        for line in _directives(asked)
        if not re.match(r"#SBATCH --(partition|time|output|job-name)\b", line)
    )
    script = quote(f"#!/bin/sh\n{batch_lines}\ntrue\n")
    rows = [f"ph_script={script}\nph_until=$(($(date +%s) + {seconds}))\n{_ASK}"]
    for queue in _worth_asking(asked, queues):
        for walltime in _walltimes(asked.walltime_seconds, queue.longest_seconds):
            limit = f" --time={max(1, walltime // 60)}" if walltime else ""
            name = f"start:{queue.name}:{walltime or 0}"
            rows.append(f"ph_ask {quote(name)} {quote(queue.name)}{limit}")
    return "\n".join(rows) + f'\nph_text {_UNASKED} 0 "$ph_late"\n'


# One that hangs is enough: the others would only take their time as well.
_ASK = """\
ph_hung=
ph_late=0
ph_ask() {
  [ -z "$ph_hung" ] || return 0
  [ "$(date +%s)" -lt "$ph_until" ] || { ph_late=$((ph_late + 1)); return 0; }
  ph_hear "$1" sh -c 'printf %s "$1" | env SLURM_TIME_FORMAT=%s sbatch --test-only --partition="$2" $3' \\
    sh "$ph_script" "$2" "${3:-}" || case $? in 124 | 137) ph_hung=1 ;; esac
}"""
_UNASKED = "unasked"


def read_unasked(seen: Heard) -> int:
    """How many questions there was no time for."""
    word = seen.get(_UNASKED)
    return int(word.text) if word is not None and word.text.isdigit() else 0


def _directives(asked: Resources) -> list[str]:
    from scheduler.settings import SlurmBatchSettings

    return SlurmBatch(SlurmBatchSettings(kind="slurm")).directives("pilothouse", asked)


def _worth_asking(asked: Resources, queues: Sequence[Queue]) -> list[Queue]:
    """The asked queues first, then others that could take the request; eight at most."""
    own = names_of(asked.queue or "")
    fitting = [
        queue
        for queue in queues
        if queue.is_open
        and (queue.is_offered or queue.name in own)
        and (not asked.gpus or queue.gpus)
        and queue.nodes > queue.down
    ]
    return sorted(fitting, key=lambda queue: (queue.name not in own, not queue.is_default))[:8]


def _walltimes(asked: int | None, longest: int | None) -> list[int | None]:
    """The asked walltime, half and a quarter of it, as far as the queue allows them."""
    if asked is None:
        return [None]
    allowed = min(asked, longest) if longest else asked
    return [
        seconds for seconds in dict.fromkeys((allowed, asked // 2, asked // 4)) if seconds >= 60
    ]


def read_starts(seen: Heard) -> list[Start]:
    """What ``sbatch --test-only`` said of each queue and walltime."""
    found = []
    for name, word in seen.items():
        if not name.startswith("start:"):
            continue
        _, queue, walltime = name.split(":", 2)
        told = re.search(r"to start at (\S+)", word.text)
        asked = int(walltime) or None
        if told and word.code == 0:
            found.append(Start(queue, asked, moment(told[1])))
        else:
            found.append(Start(queue, asked, None, words=_refusal(word)))
    return found


def with_guesses(starts: Sequence[Start], inventory: Inventory, now: float) -> list[Start]:
    """The starts, guessed from how long others waited where Slurm gave no answer. A refusal is one."""
    found = []
    for start in starts:
        queue = inventory.queue(start.queue)
        if queue is None or start.starts_at is not None or not start.words.startswith(_UNKNOWN):
            found.append(start)
            continue
        guess = guessed(queue, inventory.jobs, start.walltime_seconds, now)
        found.append(replace(guess, words=start.words))
    return found


_UNKNOWN = "unknown: "


def _refusal(word: Word) -> str:
    if word.hung:
        return f"{_UNKNOWN}sbatch hung"
    lines = word.text.splitlines()
    if word.code == 0 or not lines:
        return f"{_UNKNOWN}{lines[-1] if lines else 'no answer'}"
    last = lines[-1:]
    return re.sub(r"^.*?(?:error|failure): ", "", last[0], count=1)
