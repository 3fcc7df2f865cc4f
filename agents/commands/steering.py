"""What the verbs that steer a running search do: check, ask, and say what became of it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agents import asking, requests
from agents.commands.status import RunState, resume_command, run_state
from agents.commands.status_lines import ago
from agents.errors import ConfigurationError
from agents.progress import read_heartbeat
from agents.resuming import own_configuration
from agents.space import SearchSpace
from agents.steering import Request, Verb
from agents.workspace import Workspace, run_at

LOOK_SECONDS = 0.1
COMMAND = "python -m agents.run"

_FINISHED: Mapping[str, str] = {
    "pause": "nothing runs that could be paused",
    "continue": "for more iterations: {resume} --set loop.max_iterations=N",
    "stop": "it has stopped already",
    "cancel": "no trial is in flight",
    "set": "go on with the new value: {resume} --set KEY=VALUE",
    "add": "go on with {resume} --set loop.max_iterations=N, and add the trial then",
    "forbid": "go on with {resume} --set loop.max_iterations=N, and forbid it then",
    "note": "go on with {resume} --set loop.max_iterations=N, and leave the note then",
}


@dataclass(frozen=True)
class Answer:
    """What became of a request within the time that the verb waits."""

    request: Request
    state: Literal["taken", "refused", "waiting"]
    said: str


def ask(directory: Path, verb: Verb, arguments: Mapping[str, Any], wait: float) -> Answer:
    """Ask the search in `directory` for something, and wait `wait` seconds for it to be taken.

    Raises ConfigurationError where it cannot be asked: no run, a finished one, wrong arguments.
    """
    workspace = run_at(directory)
    state = run_state(workspace)
    _refuse_without_search(workspace, verb)
    # What is wrong in itself comes first: to go on with a finished run would not help.
    checked = _checked(workspace, verb, arguments)
    _refuse_when_finished(workspace, state, verb)
    request = requests.new_request(verb, checked)
    path = requests.leave(workspace.directory, request)
    if state.state in ("stopped", "submitted"):
        return _when_resumed(workspace, request)
    until = time.monotonic() + wait
    while time.monotonic() < until:
        answer = _answer(workspace, request)
        if answer is not None:
            return answer
        time.sleep(LOOK_SECONDS)
    return _answer(workspace, request) or _not_yet(workspace, request, path)


def _refuse_without_search(workspace: Workspace, verb: Verb) -> None:
    if workspace.is_experiment and verb != "cancel":
        where = workspace.directory
        named = shlex.quote(str(where))
        raise ConfigurationError(
            f"{verb}: {where} holds a single experiment, and no search to steer; `{COMMAND} harvest "
            f"{named}` says how it is, `{COMMAND} cancel {named} --all` ends its job"
        )


def _refuse_when_finished(workspace: Workspace, state: RunState, verb: Verb) -> None:
    if state.state == "finished":
        hint = _FINISHED[verb].format(resume=resume_command(workspace))
        raise ConfigurationError(
            f"{verb}: the search in {workspace.directory} has finished; {hint}"
        )


def _checked(workspace: Workspace, verb: Verb, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments as they are asked for. Raises ConfigurationError."""
    match verb:
        case "set":
            key, value = asking.key_and_value(arguments["setting"])
            asking.checked_setting(workspace.config_file, key, value)
            return {"key": key, "value": value}
        case "add":
            given = asking.parameters_of(arguments["values"])
            return {"parameters": asking.checked_point(_space(workspace), given)}
        case "forbid":
            asking.checked_region(_space(workspace), arguments["expression"])
            return {"expression": arguments["expression"].strip()}
        case "note":
            return {"text": asking.checked_note(arguments["text"])}
        case _:
            return arguments


def _space(workspace: Workspace) -> SearchSpace:
    settings = own_configuration(workspace).settings
    return SearchSpace.build(settings.search_space, settings.constraints)


def _answer(workspace: Workspace, request: Request) -> Answer | None:
    """What the orchestrator's sign of life says of the request."""
    beat = read_heartbeat(workspace.progress_file) or {}
    for taken in beat.get("steering") or ():
        if taken.get("id") == request.id:
            return Answer(request, "refused" if taken["refused"] else "taken", taken["effect"])
    return None


def _when_resumed(workspace: Workspace, request: Request) -> Answer:
    resume = resume_command(workspace)
    return Answer(request, "waiting", f"the search is stopped; taken when it goes on: {resume}")


def _not_yet(workspace: Workspace, request: Request, path: Path) -> Answer:
    state = run_state(workspace)
    if state.state == "finished" and requests.withdraw(path):
        _refuse_when_finished(workspace, state, request.verb)
    if state.state in ("stopped", "submitted"):
        return _when_resumed(workspace, request)
    doing = f"`{state.doing}`{ago(state.doing_since)}" if state.doing else "busy"
    why = f"waits for {state.waiting['what']}" if state.waiting else f"is at {doing}"
    return Answer(
        request,
        "waiting",
        f"not taken yet: the orchestrator {why}; `{COMMAND} status "
        f"{shlex.quote(str(workspace.directory))}` tells "
        "when it has been",
    )


def answer_text(answer: Answer) -> str:
    """For a person."""
    return f"{answer.request.what}: {answer.said}"


def answer_json(answer: Answer) -> str:
    """For scripts."""
    request = answer.request
    document = {
        "id": request.id,
        "what": request.what,
        "by": request.by,
        "asked_at": request.asked_at.isoformat(),
        "state": answer.state,
        "effect": answer.said,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
