"""YAML text to and from the tree: YAML 1.2's core schema, duplicate keys refused.

PyYAML follows YAML 1.1, where ``1e-5`` is text, ``on`` is true and ``010`` is 8. Here numbers are
what they look like, and only ``true`` and ``false`` are flags (https://yaml.org/spec/1.2.2, 10.3.2).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from agents.config.node import Node, Scalar, Source
from agents.errors import ConfigurationError

LARGEST = 2**63
"""Whole numbers from here on are refused: no storage of trials holds them."""
MOST_NODES = 50_000
"""Of a file, aliases counted each time they are used."""
DEEPEST = 50

_STR = "tag:yaml.org,2002:str"
_CORE: tuple[tuple[str, str, str], ...] = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


class _Loader(yaml.SafeLoader):
    """Composes nodes; knows no tags but those of the core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}


class _Dumper(yaml.SafeDumper):
    """Writes what YAML 1.1 and 1.2 both read as the same value."""

    yaml_implicit_resolvers = {
        first: list(resolvers)
        for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in _CORE:
    _first_characters = ["" if character == "\0" else character for character in _first]
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first_characters)


def parse(text: str, file: Path | None, name: str | None = None) -> Node:
    """The tree of a YAML document.

    `file` is what the sources name (None: the command line), `name` what stands for it in
    messages. Raises ConfigurationError for what is no YAML, for tags, for duplicate keys, for
    keys that are no text, for numbers that are not finite, and for what is too large.
    """
    where = name or str(file)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except RecursionError as error:
        raise ConfigurationError(f"{where}: this is nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(_syntax_problem(where, name is None, error)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"{where}: this is not valid YAML: {said}") from error
    if root is None:
        return Node(None, Source(file, 1), plain=True)
    builder = _Builder(file, name)
    node = builder.node(root, Source(file, root.start_mark.line + 1), 0)
    if builder.problems:
        raise ConfigurationError(builder.problems)
    return node


def scalar(text: str) -> Scalar:
    """What unquoted text stands for: a number, a flag, nothing, or itself."""
    for tag, pattern, _ in _CORE:
        if re.fullmatch(pattern, text):
            return _value(tag, text)
    return text


class _Quoted(str):
    """Text that is written with quotes whatever it looks like."""


def quoted(text: str) -> str:
    """`text` such that `dump` puts it in quotes."""
    return _Quoted(text)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # In single quotes, PyYAML takes these for ends of lines and reads blanks.
    style = '"' if re.search("[\x85\u2028\u2029]", text) else None
    return dumper.represent_scalar(_STR, str(text), style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar(_STR, str(text), style="'")
)


def dump(data: Any) -> str:
    """YAML of plain data, keys in their order."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, line_break="\n"
    )
    return text


def _syntax_problem(where: str, with_line: bool, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{where}:{mark.line + 1}" if mark and with_line else where
    column = f" (column {mark.column + 1})" if mark else ""
    problem = error.problem or error.context or "it cannot be read"
    return f"{place}: this is not valid YAML: {problem}{column}{_hint(problem, mark)}"


def _hint(problem: str, mark: yaml.Mark | None) -> str:
    if "\\t" in problem:
        return "; indent with spaces, never with tabs"
    # A reference between braces: YAML takes its brace for a mapping's.
    if mark is not None and (mark.buffer or "")[: mark.pointer].endswith("$"):
        return "; between braces or brackets, put quotes around what holds ${NAME}"
    copied = _copied(mark)
    if copied:
        return f"; {copied}, as text from a web page does: type it anew"
    if "expected <block end>" in problem:
        return (
            "; lines that belong together begin in the same column, and those of a list (- ) stand apart "
            "from those with keys"
        )
    if "got ':'" in problem or "mapping values are not allowed" in problem:
        return (
            "; text with a colon in it needs quotes, and lines that belong together begin in the same "
            "column"
        )
    return ""


_LOOK_ALIKE = (("\u00a0", "a no-break space"), ("\u201c\u201d\u201e\u2018\u2019", "curly quotes"))
"""Characters that look like those of YAML's grammar, and are letters to it."""


def _copied(mark: yaml.Mark | None) -> str:
    """Where such a character stands in the line of the problem, or before it."""
    if mark is None or not mark.buffer:
        return ""
    lines = re.split("\r\n|\r|\n", mark.buffer)
    for number in (mark.line, mark.line - 1):
        if 0 <= number < len(lines):
            for characters, name in _LOOK_ALIKE:
                if any(character in lines[number] for character in characters):
                    return f"line {number + 1} has {name}"
    return ""


def _value(tag: str, text: str) -> Scalar:
    kind = tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return _whole(text)
    spelled = text.lower().replace(".inf", "inf").replace(".nan", "nan")
    return float(spelled)


def _whole(text: str) -> int:
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    # Python refuses to read thousands of digits; what is too large is refused by us, in words.
    return int(text) if len(text) < 100 else LARGEST


def unusable(value: Scalar) -> str | None:
    """Why a value cannot be used: a number not finite or too large, text that no file can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) >= LARGEST:
        return "is too large a number"
    if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        return "holds a character that text files cannot have"
    return None


class _Builder:
    """From PyYAML's nodes to ours, noting problems."""

    def __init__(self, file: Path | None, name: str | None) -> None:
        self.problems: list[str] = []
        self._file = file
        self._name = name
        self._count = 0

    def _note(self, source: Source, problem: str) -> None:
        self.problems.append(f"{self._name or source}: {problem}")

    def _source(self, node: yaml.Node) -> Source:
        return Source(self._file, node.start_mark.line + 1)

    def node(self, node: yaml.Node, source: Source, depth: int) -> Node:
        self._count += 1
        if self._count > MOST_NODES or depth > DEEPEST:
            where = self._name or source
            raise ConfigurationError(f"{where}: this is too large or nested too deeply")
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, depth), source)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", source)
            return Node(
                [self.node(item, self._source(item), depth + 1) for item in node.value], source
            )
        return self._scalar(node, source)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        self._check_tag(node, "map", self._source(node))
        entries: dict[str, Node] = {}
        for key_node, value_node in node.value:
            source = self._source(key_node)
            key = key_node.value
            if not isinstance(key, str) or key_node.tag != _STR:
                shown = key if isinstance(key, str) else "a list or mapping"
                remedy = "put it in quotes"
                if key_node.tag != _STR and value_node.value == "" and node.flow_style:
                    remedy = "a number takes a point (0.1), and an entry a value"  # {high: 0,1}
                self._note(source, f"the key {shown} is not text: {remedy}")
                continue
            if "${" in key:
                self._note(source, f"the key {key}: references are filled in in values only")
            if key in entries:
                first = entries[key].source.line
                self._note(source, f"the key {key} is there twice (first in line {first})")
                continue
            entries[key] = self.node(value_node, source, depth + 1)
        return entries

    def _scalar(self, node: yaml.Node, source: Source) -> Node:
        text: str = node.value
        plain = getattr(node, "style", None) is None
        known = {tag: pattern for tag, pattern, _ in _CORE}
        if node.tag != _STR and not re.fullmatch(known.get(node.tag, r"(?!)"), text):
            self._note(source, f"the tag {node.tag} cannot be used here")
            return Node(None, source)
        value = text if node.tag == _STR else _value(node.tag, text)
        problem = unusable(value)
        if problem:
            self._note(source, f"{text!r:.40} {problem}")
        return Node(value, source, plain=plain)

    def _check_tag(self, node: yaml.Node, kind: str, source: Source) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            self._note(source, f"the tag {node.tag} cannot be used here")
