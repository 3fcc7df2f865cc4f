"""How the run, and its best trial alone, can be had again. Pure."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from typing import Any

from agents.report.facts import RunFacts
from agents.report.numbers import MISSING
from agents.report.surroundings import MOST_VALUES, Difference, common, differences
from agents.report.tables import trials_text
from agents.trial import StudyView, Trial
from training.contract import HYPERPARAMETERS_FILE

_PLACEHOLDER = re.compile(r"\{(python|hyperparameters|job_dir|trial|seed|job|code)\}")


def reproduction(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    """The section on the page."""
    return {
        "search": _search(facts),
        "changed": _changed(facts),
        "best": _best(view.best, facts) if view.best else None,
        "orchestrator": _orchestrator(facts),
        "code": _code(facts),
        "trials": [(key.replace("_", " "), value) for key, value in common(view)],
        "differences": [_difference(one) for one in differences(view)],
    }


def _search(facts: RunFacts) -> str:
    """The commands that run the same search again."""
    configuration = shlex.quote(posixpath.join(facts.run_directory, "config.yaml"))
    lines = [f"python -m agents.run --config {configuration} --new"]
    commit = facts.git.get("commit")
    if commit:
        lines.insert(0, f"git checkout {shlex.quote(str(commit))}")
    return "\n".join(lines)


def _changed(facts: RunFacts) -> str:
    """Where the commit alone does not give the code that ran."""
    if not facts.git.get("changed"):
        return ""
    kept = "; the snapshot below has them" if facts.code else ""
    return f"There were changes that no commit has{kept}."


def _best(best: Trial, facts: RunFacts) -> dict[str, str]:
    """The best trial's command, where it is run, and its parameters as a file."""
    values = {
        "python": "python",
        # Programs work beside the file: of a bare name there is no directory to go to.
        "hyperparameters": f"./{HYPERPARAMETERS_FILE}",
        "job_dir": ".",
        "trial": str(best.number),
        "seed": str(best.seed),
        "job": f"trial_{best.number}",
        "code": str(facts.code.get("path") or "."),
    }
    words = [_PLACEHOLDER.sub(lambda m: values[m.group(1)], word) for word in facts.command]
    task = {
        "schema": 1,
        "experiment": facts.experiment,
        "trial": best.number,
        "job": values["job"],
        "seed": best.seed,
        "hyperparameters": dict(best.parameters),
        "budget": dict(facts.budget),
    }
    return {
        "number": str(best.number),
        "command": shlex.join(words),
        "place": facts.working_directory or facts.code.get("path") or "",
        "task": json.dumps(task, indent=1, ensure_ascii=False, default=str),
    }


def _orchestrator(facts: RunFacts) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in facts.environment.items()]


def _code(facts: RunFacts) -> list[tuple[str, str]]:
    """The repository of the configuration, and the snapshot that the trials ran."""
    rows = [(f"git {name}", _word(value)) for name, value in facts.git.items()]
    code = facts.code
    if not code:
        return rows
    rows += [("snapshot", str(code.get("digest", MISSING))), ("files", str(code.get("files", "")))]
    rows.append(("lies in", str(code.get("path", MISSING))))
    origin = code.get("git")
    if isinstance(origin, dict):
        rows += [(f"its git {name}", _word(value)) for name, value in origin.items()]
    return rows


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "key": one.key.replace("_", " "),
        "why": one.why,
        "values": [(value, trials_text(numbers)) for value, numbers in one.values[:MOST_VALUES]],
        "more": max(0, len(one.values) - MOST_VALUES),
    }


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value else MISSING
