"""The cluster's side of old runs: how large they are there, and their removal, a round trip each.

A directory there counts as a run's where it bears the run's name below the configured base and holds
a job directory that the run's ledger names. Staged code, which runs share, is never touched, nor is
what a copy of the run beside it has there too.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.cleaning import OldRun, job_directories
from agents.config import load
from agents.jobs import is_local
from agents.search import open_cluster
from agents.workspace import runs
from scheduler.cluster import Cluster
from scheduler.errors import SchedulerError
from scheduler.shell import FRAMES, heredoc, home_path, parse_frames
from scheduler.transport import Transport
from training.contract import PilothouseError

SECONDS = 600.0
"""Time limit of one round trip: a slow file system takes its time to remove many files."""

# Rows are the run's name and one of its job directories, a line each.
_EACH = """
cd "$ph_base" || exit 95
ph_left=0
while IFS= read -r ph_name && IFS= read -r ph_job; do
  if [ ! -e "./$ph_name" ]; then ph_text absent "$ph_left" ""
  elif [ -L "./$ph_name" ] || [ ! -d "./$ph_name/$ph_job" ]; then ph_text foreign "$ph_left" ""
  else
DO
  fi
  ph_left=$((ph_left + 1))
done"""
_SIZE = '    ph_text size "$ph_left" "$(du -sk "./$ph_name" 2>/dev/null | awk \'{ print $1 }\')"'
_REMOVE = """    ph_said=$(rm -rf "./$ph_name" 2>&1)
    if [ -e "./$ph_name" ]; then ph_text failed "$ph_left" "$ph_said"
    else ph_text removed "$ph_left" ""; fi"""


@dataclass(frozen=True)
class There:
    """What is there of one run."""

    state: str
    """``here`` (its jobs run in its own directory), ``absent``, ``size`` (it is there), ``foreign``
    (not recognized as its own), ``shared`` (a directory here that stays has it too), ``removed``,
    ``failed``, ``unknown``."""
    size: int = 0
    """Bytes."""
    said: str = ""


@dataclass(frozen=True)
class _Place:
    """One base on one machine, with the runs that have directories below it."""

    cluster: Cluster
    runs: list[tuple[OldRun, str]]
    """With a job directory of each."""


def sizes(found: Sequence[OldRun]) -> dict[str, There]:
    """What is there of each run, by its name. Raises scheduler.errors.Away."""
    return _each(found, _SIZE)


def remove_there(found: Sequence[OldRun]) -> dict[str, There]:
    """Remove what is there of each run. What became of it, by name. Raises scheduler.errors.Away."""
    return _each(found, _REMOVE)


def _each(found: Sequence[OldRun], action: str) -> dict[str, There]:
    answers: dict[str, There] = {}
    for place in _places(found, answers):
        try:
            answers.update(_asked(place, action))
        finally:
            place.cluster.transport.close()
    return answers


def _places(found: Sequence[OldRun], answers: dict[str, There]) -> list[_Place]:
    """The runs by where they are. Of those that are nowhere else, `answers` gets the word."""
    places: dict[str, _Place] = {}
    stay = _that_stay(found)
    for run in found:
        try:
            loaded = load(run.workspace.config_file)
            if is_local(loaded.settings):
                answers[run.name] = There("here")
                continue
            job = next(iter(job_directories(run.workspace)), None)
            cluster = open_cluster(loaded, run.workspace)
        except PilothouseError as error:
            answers[run.name] = There("unknown", said=str(error).splitlines()[0])
            continue
        if job is None or "\n" in f"{run.workspace.first_name}{job}":
            answers[run.name] = There("absent")
            continue
        other = _other(run, stay)
        if other:
            answers[run.name] = There("shared", said=other)
            continue
        base = cluster.root.rpartition("/")[0]
        key = f"{loaded.settings.cluster.transport.model_dump_json()} {base}"
        places.setdefault(key, _Place(cluster, [])).runs.append((run, job))
    return list(places.values())


@dataclass(frozen=True)
class _Staying:
    """What lies beside the runs that may go, and does not go with them."""

    going: frozenset[str]
    """The runs that may go, by their real paths."""
    names: Mapping[str, str]
    """Of those that stay: the name here by the one that the run was made with, which is its name there."""


def _that_stay(found: Sequence[OldRun]) -> _Staying:
    going = frozenset(os.path.realpath(run.workspace.directory) for run in found)
    beside = [
        run for base in {run.workspace.directory.parent for run in found} for run in runs(base)
    ]
    # By real paths: `latest` is a link to a run, and no copy of it.
    staying = [run for run in beside if os.path.realpath(run.directory) not in going]
    return _Staying(going, {run.first_name: run.name for run in staying})


def _other(run: OldRun, stay: _Staying) -> str:
    """Which directory here has the same one there, and stays; empty where none has.

    A copy of a run (`cp -a R R_backup`) has its card, and so its directory there: only the copy's
    own lock is held, while the original may be running.
    """
    name = run.workspace.first_name
    original = run.workspace.directory.with_name(name)
    # One whose card is broken is no run, but what is there may be its own all the same.
    is_there = os.path.lexists(original) and os.path.realpath(original) not in stay.going
    return name if is_there else stay.names.get(name, "")


def _asked(place: _Place, action: str) -> dict[str, There]:
    transport: Transport = place.cluster.transport
    base = place.cluster.root.rpartition("/")[0]
    nonce = secrets.token_hex(8)
    rows = "".join(f"{run.workspace.first_name}\n{job}\n" for run, job in place.runs)
    script = (
        f"ph_nonce={nonce}\nph_base={home_path(base)}\n{FRAMES}"
        f"{_EACH.replace('DO', action)}{heredoc(rows)}"
    )
    done = transport.run(script, timeout=SECONDS)
    if done.code == 95:
        return {run.name: There("absent") for run, _ in place.runs}
    if done.code != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise SchedulerError(f"{base} on {transport.name} could not be looked at: {said}")
    answers = {}
    for frame in parse_frames(done.stdout, nonce):
        run, _ = place.runs[int(frame.name)]
        said = frame.content.decode(errors="replace").strip()
        size = int(said) * 1024 if frame.kind == "size" and said.isdigit() else 0
        answers[run.name] = There(frame.kind, size, "" if frame.kind == "size" else said)
    for run, _ in place.runs:
        answers.setdefault(run.name, There("unknown", said="no answer came back"))
    return answers
