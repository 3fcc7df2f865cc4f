"""Which packages a Python program imports as it starts, and which of them a Python does not find.

The Python on the cluster runs this text too: it stands alone, and keeps to Python 3.6.
"""

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence

MOST_FILES = 100
"""Of the program's own that are read: this is a look, not a build."""


def needed(start: str, root: str) -> "list[str]":
    """Top-level names of what the file `start` imports that does not lie in the directory `root`.

    Imports of its own modules below `root` are followed. What stands in a function, in ``try`` or in
    ``if`` may never be wanted, and is left out; a program that extends ``sys.path`` tells nothing.
    """
    names = set()  # type: set[str]
    seen = set()  # type: set[str]
    files = [start]
    while files and len(seen) < MOST_FILES:
        path = files.pop()
        if path in seen:
            continue
        seen.add(path)
        text = _text(path)
        if "sys.path" in text:
            return []
        for base, parts in _imports(text, path, root):
            # What a relative import names, and no file has, is a name in that package's __init__.
            if base != root or _is_own(base, parts):
                files += _files(base, parts)
            else:
                names.add(parts[0])
    return sorted(names)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _imports(text: str, path: str, root: str) -> "Iterator[tuple[str, Sequence[str]]]":
    """The modules that `text` imports at once: the directory to begin at, and the names from there."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield root, alias.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            base = root if not node.level else _above(path, node.level)
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                yield base, [*module, alias.name]


def _above(path: str, level: int) -> str:
    base = path
    for _ in range(level):
        base = os.path.dirname(base)
    return base


def _is_own(base: str, parts: "Sequence[str]") -> bool:
    try:
        return any(entry.split(".")[0] == parts[0] for entry in os.listdir(base or "."))
    except OSError:
        return False


def _files(base: str, parts: "Sequence[str]") -> "list[str]":
    found = []
    for length in range(1, len(parts) + 1):
        place = os.path.join(base, *parts[:length])
        found += [
            p for p in (place + ".py", os.path.join(place, "__init__.py")) if os.path.isfile(p)
        ]
    return found


def started(module: str, root: str) -> "list[str]":
    """The files below `root` that ``python -m module`` runs; none for one that is installed."""
    parts = module.split(".")
    return [*_files(root, parts), *_files(root, [*parts, "__main__"])]


def _is_found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return True


def main(kind: str, value: str) -> None:
    """Say what the script, the module or the comma-separated names of `value` lack, a line each."""
    root = os.path.dirname(os.path.abspath(value)) if kind == "file" else os.getcwd()
    sys.path[0] = root
    if kind == "imports":
        names = value.split(",")
    else:
        files = [value] if kind == "file" else started(value, root)
        names = sorted({name for file in files for name in needed(file, root)})
    for name in names:
        if not _is_found(name):
            print("no-import " + name)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
