"""The prompt as a file: the one that comes with Pilothouse, or a person's own (`llm.prompt`).

A Jinja2 template over the names of `NAMES`, in a sandbox. A name that there is not is an error of
the configuration, with file and line, and not an empty place in a question to an LLM.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import ConfigurationError

if TYPE_CHECKING:
    from jinja2 import Template, nodes

DEFAULT_PROMPT = Path(__file__).parent / "prompts" / "propose.md.j2"

_WORDS = (
    "description",
    "metric",
    "direction",
    "second_metric",
    "second_direction",
    "budget",
    "hardware",
    "space",
)

NAMES: Mapping[str, tuple[str, ...]] = {
    "task": (*_WORDS, "names"),
    "history": (
        "total", "completed", "failed", "pruned", "running", "left", "seconds", "node_hours_left",
    ),
    "best": (), "recent": (), "near": (), "running": (), "failures": (), "matters": (),
    "hints": (), "notes": (), "earlier": (), "looked_up": (), "count": (), "form": (),
}  # fmt: skip
"""What a prompt may say, and the parts of those that have some. docs/prompt.md tells of each."""

_BUILT_IN = {"loop", "range", "namespace", "dict", "cycler", "joiner", "lipsum"}


@cache
def default_prompt() -> str:
    """The prompt that comes with Pilothouse, as it stood in its file when it was first read."""
    return DEFAULT_PROMPT.read_text(encoding="utf-8")


def prompt_template(path: Path | None = None) -> Template:
    """The template in a file, or the default. Raises ConfigurationError with file and line."""
    file = path or DEFAULT_PROMPT
    try:
        text = default_prompt() if path is None else path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"llm.prompt: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"llm.prompt: {file} is no text in UTF-8") from error
    return _compiled(text, file)


@lru_cache(maxsize=8)
def _compiled(text: str, file: Path) -> Template:
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # the answer is text for a model; nothing renders it as a page
        keep_trailing_newline=True,
    )
    try:
        faults = sorted(set(_faults(environment.parse(text))))
        template = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise ConfigurationError(
            f"llm.prompt: {file}:{error.lineno}: {error.message}; it is a Jinja2 template"
        ) from error
    if faults:
        raise ConfigurationError([f"llm.prompt: {file}:{line}: {fault}" for line, fault in faults])
    _try_out(template, file)
    return template


def _faults(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Names that there are not, each with its line."""
    from jinja2 import nodes

    own = {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}
    own |= {macro.name for macro in tree.find_all(nodes.Macro)}
    own |= {target for one in tree.find_all(nodes.FromImport) for target in map(str, one.names)}
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name not in {*NAMES, *own, *_BUILT_IN}:
            yield name.lineno, _unknown(name.name, list(NAMES))
    for part in tree.find_all(nodes.Getattr):
        owner = part.node
        if not isinstance(owner, nodes.Name) or owner.name in own or owner.name not in NAMES:
            continue
        known = NAMES[owner.name]
        if known and part.attr not in known:
            whole = [f"{owner.name}.{one}" for one in known]
            yield part.lineno, _unknown(f"{owner.name}.{part.attr}", whole)


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"there is no {name}; {meant}there are {', '.join(known)}"


def _try_out(template: Template, file: Path) -> None:
    """Render it once without and once with a history: what parsing cannot see."""
    from jinja2 import TemplateError

    for lines in ([], ["run 0: 0.5; x=1"]):
        try:
            template.render(sample(lines))
        except (
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            raise ConfigurationError(
                f"llm.prompt: {file}:{_line(error)}: {error}; `python -m agents.run prompt` prints "
                "the default one, and docs/prompt.md tells what each name holds"
            ) from error


def sample(lines: list[str]) -> dict[str, Any]:
    """Values of every name, of the types that they have in a search."""
    words = dict.fromkeys(_WORDS, "")
    numbers = dict.fromkeys(("total", "completed", "failed", "pruned", "running", "left"), 1)
    lists = (
        "best",
        "recent",
        "near",
        "running",
        "failures",
        "matters",
        "hints",
        "notes",
        "earlier",
    )
    return {
        "task": {**words, "names": ["x"]},
        "history": {**numbers, "total": len(lines), "seconds": "", "node_hours_left": ""},
        **dict.fromkeys((*lists, "looked_up"), lines),
        "count": 1,
        "form": "{}",
    }


def _line(error: Exception) -> int:
    """The line of the template at which rendering failed."""
    trace, line = error.__traceback__, 1
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
