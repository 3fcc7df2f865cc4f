"""What can be said before anything runs of a command with `{adapt}`: its options, the names in braces, the
metrics that it will find. Pure."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence

from agents.config.cluster_checks import Problem
from agents.config.model import Settings
from agents.metrics import FRACTIONS
from training.adapt.options import Wanted, wanted_of
from training.adapt.words import PLACE, unused

KEY = "training.command"
ADAPT = "{adapt}"
OF_A_CURVE = (*FRACTIONS, "epochs_to_90")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "csh", "tcsh")


def split(command: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The words of the adapter, and those of the program behind it, if there is one."""
    if ADAPT not in command or "--" not in command[command.index(ADAPT) :]:
        return command, ()
    place = command.index("--", command.index(ADAPT))
    return command[:place], command[place + 1 :]


def adapter_problems(settings: Settings, filled_in: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with a command that holds `{adapt}`. `filled_in`: names that stand for something in
    every command."""
    command = settings.training.command
    if not any(ADAPT in word for word in command):
        return
    own, program = split(command)
    if ADAPT not in command[1:]:
        yield (
            KEY,
            f'{KEY}: {ADAPT} is a word of its own, after the Python that runs it: ["{{python}}", "{ADAPT}", …]',
        )
        return
    if not program:
        yield KEY, f"{KEY}: after {ADAPT} and its options come `--` and your program, word by word"
        return
    wanted, faults = wanted_of(own[command.index(ADAPT) + 1 :])
    yield from ((KEY, f"{KEY}: {fault}") for fault in faults)
    if faults:
        return
    yield from _name_problems(settings, program, wanted, filled_in)
    yield from _shell_problems(program, settings)
    yield from _source_problems(settings, wanted)
    yield from _objective_problems(settings, wanted)


def _name_problems(
    settings: Settings, program: Sequence[str], wanted: Wanted, filled_in: Sequence[str]
) -> Iterator[Problem]:
    own = [*settings.search_space, *settings.training.budget]
    for name in own:
        if name in filled_in:
            yield (
                KEY,
                f"{KEY}: {{{name}}} is filled in by Pilothouse itself: give the parameter another name",
            )
    used = [match.group(1) for word in program for match in PLACE.finditer(word)]
    for name in dict.fromkeys(used):
        if name not in own and name not in filled_in:
            near = difflib.get_close_matches(name, own, n=1)
            meant = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(own)}"
            yield KEY, f"{KEY}: {{{name}}} is in neither search_space nor training.budget; {meant}"
    lost = unused(own, program)
    if lost is not None and not wanted.fill:
        yield KEY, f"{KEY}: {lost}"


def _shell_problems(program: Sequence[str], settings: Settings) -> Iterator[Problem]:
    """A value is a word: no shell reads it."""
    own = {*settings.search_space, *settings.training.budget}
    for before, option, word in zip(program, program[1:], program[2:], strict=False):
        is_script = os.path.basename(before) in _SHELLS and option.startswith("-") and "c" in option
        if is_script and any(match.group(1) in own for match in PLACE.finditer(word)):
            yield (
                KEY,
                f"{KEY}: a shell would read the values in {word!r}: give them as words after it, "
                'where the script finds them as "$0", "$1", …',
            )


def _source_problems(settings: Settings, wanted: Wanted) -> Iterator[Problem]:
    training, path = settings.training, wanted.source
    in_job = wanted.in_job or (training.directory is None and not training.stage)
    if path is not None and not in_job and not path.startswith("{job_dir}"):
        yield (
            KEY,
            f"{KEY}: --from {path} is one file for all trials, and they would read each other's numbers: "
            "let the program write below {job_dir}, or work there (--in-job)",
        )


def _objective_problems(settings: Settings, wanted: Wanted) -> Iterator[Problem]:
    known = [*wanted.metrics, "seconds", *(OF_A_CURVE if wanted.accuracy is not None else ())]
    keys = ("objective.metric", "objective.second.metric")
    for key, metric in zip(keys, settings.objective.metrics, strict=False):
        if metric in known:
            continue
        if metric in OF_A_CURVE:
            meant = "it follows from a curve of accuracies: --accuracy NAME, or --percent NAME"
        else:
            near = difflib.get_close_matches(metric, known, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        yield key, f"{key}: {ADAPT} reads no {metric}; {meant}"
