"""Data on its way into and out of POSIX sh scripts: quoting, and frames of known length."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

quote = shlex.quote


def heredoc(lines: str) -> str:
    """A quoted here-document for the command before it: any text, read as it is, line by line."""
    mark = "PH_END"
    while f"{mark}\n" in lines:
        mark += "_"
    return f" <<'{mark}'\n{lines}{mark}\n"


def home_path(path: str) -> str:
    """`path` as a shell word, with a leading ``~`` standing for the home directory there."""
    if path == "~":
        return '"$HOME"'
    if path.startswith("~/"):
        return f'"$HOME"/{quote(path[2:])}'
    return quote(path)


# The frame's length is counted in bytes (LC_ALL=C). The nonce keeps apart what we frame and what
# a site's start-up files, modules or plugins print.
# A temporary directory that was purged, or is full, must not cost a poll: the working directory will do.
FRAMES = """
ph_locale=${LC_ALL-}
LC_ALL=C; export LC_ALL
ph_own_locale() { if [ -n "$ph_locale" ]; then LC_ALL=$ph_locale; else unset LC_ALL; fi; }
ph_temporary() {
  mktemp "${TMPDIR:-/tmp}/ph.XXXXXX" 2> /dev/null || mktemp "$PWD/.ph.XXXXXX" 2> /dev/null
}
ph_text() { printf '\\n@%s %s %s %s\\n%s' "$ph_nonce" "$1" "$2" "${#3}" "$3"; }
ph_bytes() {
  printf '\\n@%s %s %s %s\\n' "$ph_nonce" "$1" "$2" "$4"
  tail -c "+$(($5 + 1))" "$3" | head -c "$4"
}
"""
"""Shell functions ``ph_text KIND NAME TEXT``, ``ph_bytes KIND NAME FILE COUNT OFFSET``,
``ph_temporary``, which makes a temporary file and prints its name, and ``ph_own_locale``, for what becomes
part of a job: its locale is the person's."""


@dataclass(frozen=True)
class Frame:
    """One piece of a script's output."""

    kind: str
    name: str
    content: bytes


def parse_frames(output: bytes, nonce: str) -> Iterator[Frame]:
    """The frames in a script's output, in order; noise between them is passed over.

    A frame cut short (the file shrank or cannot be read, the connection broke) is left out.
    """
    mark = b"\n@" + nonce.encode() + b" "
    position = output.find(mark)
    while position >= 0:
        header_end = output.find(b"\n", position + 1)
        if header_end < 0:
            return
        fields = output[position + len(mark) : header_end].split(b" ")
        start = header_end + 1
        if len(fields) != 3 or not fields[2].isdigit():
            position = output.find(mark, header_end)
            continue
        end = start + int(fields[2])
        following = output.find(mark, start)
        if start <= following < end:  # what should fill the frame did not come
            position = following
            continue
        if end > len(output):
            return
        yield Frame(fields[0].decode(), fields[1].decode(), output[start:end])
        position = following
