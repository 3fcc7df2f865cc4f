"""The training command: which program, script and modules have to be there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.config.adapted import split
from agents.config.model import TrainingSettings
from agents.doctor.imports import needed

_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*")
_SCRIPTS = (".py", ".sh", ".R", ".jl", ".pl", ".rb", ".m")
_WITH_VALUE = ("-W", "-X")
"""Options of Python that take the next word."""
_BRINGS_ITS_OWN = frozenset({"run", "exec"})
"""Words of programs (`conda run`, `uv run`, `apptainer exec`) behind which another Python is found."""


@dataclass(frozen=True)
class Needs:
    """What a training command needs at its start."""

    program: str
    python: str | None
    """The Python in it, if there is one that can be asked as it is named."""
    files: Sequence[str] = ()
    modules: Sequence[str] = ()
    """Of ``python -m``."""
    imports: Sequence[str] = ()
    """Packages that code which is looked for here imports."""
    faulty: Sequence[str] = ()
    """What the Python here finds no program in, of code that is looked for here."""


def needs_of(command: Sequence[str], python: str) -> Needs:
    """What `command` needs; `python` is what ``{python}`` stands for.

    A word that holds another placeholder is made for the job, and is not looked for. Behind the adapter
    it is the program itself that is looked at.
    """
    behind = split(command)[1]
    if behind:
        needs = needs_of(behind, python)
        return replace(needs, python=needs.python or command[0].replace("{python}", python))
    words = [word.replace("{python}", python) for word in command]
    place = next(
        (i for i, word in enumerate(command) if word == "{python}" or _PYTHON.fullmatch(words[i])),
        None,
    )
    if place is None:
        files = [word for word in words[1:] if word.endswith(_SCRIPTS) and not _is_made(word)]
        return Needs(words[0], None, files)
    files, modules = _started(words[place + 1 :])
    elsewhere = command[place] != "{python}" and _BRINGS_ITS_OWN.intersection(words[:place])
    return Needs(words[0], None if elsewhere else words[place], files, modules)


def _started(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The script or module that Python is started with."""
    rest = iter(words)
    for word in rest:
        if word == "-m":
            module = next(rest, "")
            return [], [module] if module and not _is_made(module) else []
        if word in ("-c", "-"):
            return [], []
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return ([] if _is_made(word) else [word]), []
    return [], []


def _is_made(word: str) -> bool:
    return bool(re.search(r"\{(?!code\})\w+\}", word))


def staged(needs: Needs, training: TrainingSettings) -> tuple[Needs, list[str]]:
    """What is left to be looked for there, and what is missing from the code that goes there.

    With `training.stage` a snapshot is made when a run begins: what is in it is looked for here.
    """
    if not training.stage:
        return needs, []
    sources = {path.name: path for path in training.stage}
    here = training.directory is None
    missing, files, modules, own = [], [], [], []
    for file in needs.files:
        inside = file.removeprefix("{code}/") if file.startswith("{code}/") else file
        if inside == file and (file.startswith("/") or not here):
            files.append(file)
        elif path := _path(sources, inside):
            own.append((path, path.parent))
        else:
            missing.append(inside)
    for module in needs.modules:
        parts = module.split(".")
        if not here or parts[0] not in {name.removesuffix(".py") for name in sources}:
            modules.append(module)
        elif path := next(filter(None, (_path(sources, name) for name in _names(parts))), None):
            own.append((path, _source(sources, parts[0]).parent))
        else:
            missing.append("/".join(parts) + ".py")
    faulty = [fault for path, _ in own if path.suffix == ".py" and (fault := _fault(path))]
    imports = _imports(own, sources)
    return Needs(needs.program, needs.python, files, modules, imports, faulty), missing


def _fault(path: Path) -> str:
    """What is wrong with the file's syntax, as the Python here reads it: that there may be newer."""
    try:
        compile(path.read_bytes(), path.name, "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{path.name}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError):
        return ""
    return ""


def _names(parts: Sequence[str]) -> list[str]:
    path = "/".join(parts)
    return [f"{path}.py", f"{path}/__main__.py"]


def _path(sources: Mapping[str, Path], name: str) -> Path | None:
    first, *rest = Path(name).parts or ("",)
    path = sources[first].joinpath(*rest) if first in sources else None
    return path if path is not None and path.exists() else None


def _source(sources: Mapping[str, Path], name: str) -> Path:
    return sources.get(name) or sources[f"{name}.py"]


def _imports(own: Sequence[tuple[Path, Path]], sources: Mapping[str, Path]) -> list[str]:
    """What these files import, each from its root, that is in no source."""
    sent = {name.split(".")[0] for name in sources}
    found = {
        name for path, root in own if path.suffix == ".py" for name in needed(str(path), str(root))
    }
    return sorted(found - sent)
