"""One task: fill in, start, follow, and write what came of it."""

import difflib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from training.adapt.ledger import Ledger
from training.adapt.options import Wanted, wanted_of
from training.adapt.program import Program
from training.adapt.words import filled_file, unused, words_of


def main(arguments: "Sequence[str]", job: str) -> int:
    """Run the program for the task in the directory `job`. The exit code is the program's."""
    with open(os.path.join(job, "hyperparameters.json"), encoding="utf-8") as stream:
        task = json.load(stream)
    place = arguments.index("--") if "--" in arguments else len(arguments)
    wanted, faults = wanted_of(arguments[:place])
    template = arguments[place + 1 :]
    if not template:
        faults.append("{adapt}: after its options come -- and your program")
    ledger = Ledger(job, wanted, task)
    values = dict(task.get("budget") or {}, **task["hyperparameters"])
    if not faults:
        faults = _prepared(wanted, template, job, task, values)
    if faults:
        return _refused(ledger, "; ".join(faults))
    words = words_of(template, values)
    if wanted.in_job:
        os.chdir(job)
    program = Program(wanted, ledger)
    try:
        code = program.run(words)
    except OSError as error:
        print(f"adapt: cannot start {words[0]}: {error.strerror}", file=sys.stderr)
        return 126 if isinstance(error, PermissionError) else 127
    return _ended(program, code, ledger, wanted, words)


def _prepared(
    wanted: Wanted,
    template: "Sequence[str]",
    job: str,
    task: "Mapping[str, Any]",
    values: "Mapping[str, object]",
) -> "list[str]":
    """Fill in the files. What is wrong with the words and files that the values go to."""
    try:
        texts = [_fill(path, job, task, values) for path in wanted.fill]
    except (OSError, UnicodeDecodeError) as error:
        return [f"a file of --fill cannot be filled in: {error}"]
    lost = unused(values, [*template, *texts])
    return [] if lost is None else [lost]


def _fill(path: str, job: str, task: "Mapping[str, Any]", values: "Mapping[str, object]") -> str:
    """Fill in a file: it lies in the job's directory then, without its .in. Its text as it was."""
    with open(path, encoding="utf-8", newline="") as stream:
        text = stream.read()
    name = os.path.basename(path)
    target = os.path.join(job, name[:-3] if name.endswith(".in") else name)
    of_the_job = {"seed": task["seed"], "trial": task["trial"], "job": task["job"], "job_dir": job}
    # A job that its scheduler requeued comes back to its own directory: what it wrote there is its own.
    if os.path.exists(target) and os.path.samefile(path, target):
        raise FileExistsError(f"{target} would be overwritten with itself")
    with open(target, "w", encoding="utf-8", newline="") as stream:
        stream.write(filled_file(text, dict(values, **of_the_job)))
    return text


def _refused(ledger: Ledger, why: str, kind: str = "ConfigurationError") -> int:
    print("adapt: " + why, file=sys.stderr)
    ledger.result("failed", error={"type": kind, "message": why})
    return 2


def _ended(
    program: Program, code: int, ledger: Ledger, wanted: Wanted, words: "Sequence[str]"
) -> int:
    """Write the result that fits how the program ended, and say with which code to end."""
    found = ledger.numbers(program.reader)
    found["environment"] = {"host": os.uname().nodename, "command": words}
    if program.signal:
        error = {"type": "Stopped", "message": f"stopped by signal {program.signal}"}
        ledger.result("preempted", error=error, **found)
        return code
    if program.stopped:
        ledger.result("pruned", **found)
        return 0
    if code != 0:
        return code  # With its last words it tells more than a result would.
    lost = missing(program, wanted)
    if lost is not None:
        return _refused(ledger, lost, "MetricNotFound")
    broken = [name for name, value in found["metrics"].items() if value is None]
    if broken:
        error = {"type": "Diverged", "message": f"the last {broken[0]} is no finite number"}
        ledger.result("diverged", error=error, **found)
        return 1
    ledger.result("completed", **found)
    return 0


def missing(program: Program, wanted: Wanted) -> "str | None":
    """What to say where a metric was not found."""
    reader, source = program.reader, program.source
    known = {name for epoch in reader.epochs for name in epoch.values}
    lost = [name for name in wanted.metrics if name not in known]
    if not lost:
        return None
    if source is not None and source.is_untouched:
        is_there = os.path.exists(source.path)
        what = (
            "was there before the program, which did not write it" if is_there else "is not there"
        )
        said = "what it printed is in job.out and job.err"
        return f"{os.path.abspath(source.path)} (--from) {what}; {said}"
    if wanted.step is not None and lost[0] in reader.unplaced:
        lost = [wanted.step[0]]
    near = difflib.get_close_matches(lost[0], sorted(reader.names), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    names = ", ".join(sorted(reader.names, key=str.lower)[:20]) or "none"
    where = source.path if source is not None else "what the program printed"
    last = f"; its last line: {reader.last[:200]}" if reader.last else ""
    return (
        f"{lost[0]} stands before no number in {where} ({reader.lines} lines); {hint}names there: "
        f"{names}{last}"
    )
