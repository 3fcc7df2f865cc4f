"""One framing for all transports: a script and its input in one stream, an answer in another.

The command line is a constant. What it reads, line by line, is

1. the wrapper below, 2. a nonce, 3. the script as one quoted shell word,

and whatever follows is the script's own standard input. A shell's ``read`` takes a pipe byte by
byte, so nothing of that input is lost, in any POSIX sh. The login shell of the account only sees
the constant, which sh, csh, tcsh and fish read alike.

The answer is what stands between two marker lines on standard output, and on standard error. What
a banner, a profile or a module prints around them is dropped. The second marker has the script's
exit code: without it the outcome is unknown (ssh's own 255 says nothing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

COMMAND = """exec /bin/sh -c 'IFS= read -r ph_line && eval "$ph_line"'"""
"""The remote command line, the same for every script."""

LATER_SECONDS = 5
"""How much longer the far side gives a script than the near side, which is to say that it was too
slow: the end of one that `timeout` ended first would look like a broken connection."""

# `timeout` ends what is left over on the far side when the near side has given up: a hung
# scheduler command would otherwise pile up on the login node, one a poll.
# Standard error is marked first: an answer is waited for until the mark on standard output.
_WRAPPER = (
    "if command -v timeout >/dev/null 2>&1; then ph_limit='timeout -k 10 SECONDS'; "
    "else ph_limit=; fi; "
    "exec $ph_limit /bin/sh -c '"
    "IFS= read -r ph_mark && IFS= read -r ph_line || exit 1; "
    'ph_n=$(printf "\\nx"); ph_n=${ph_n%x}; eval "ph_script=$ph_line"; '
    'ph_tell() { printf "\\n@%s %s\\n" "$ph_mark" "$1" >&2; printf "\\n@%s %s\\n" "$ph_mark" "$1"; }; '
    'ph_tell begin; (eval "$ph_script"); ph_tell "end $?"'
    "' sh"
)


@dataclass(frozen=True)
class Answer:
    """What the script itself wrote, and its exit code."""

    code: int
    stdout: bytes
    stderr: bytes


def pack(script: str, stdin: bytes, *, nonce: str, timeout: float) -> bytes:
    """The bytes for the standard input of `COMMAND`. `timeout` (s), and a little, bounds the far side."""
    if "\0" in script:
        raise ValueError("a shell script cannot hold a NUL character")
    wrapper = _WRAPPER.replace("SECONDS", str(max(0, math.ceil(timeout)) + LATER_SECONDS))
    text = script.encode("utf-8", "surrogateescape")
    return b"\n".join((wrapper.encode(), nonce.encode(), _on_one_line(text), stdin))


def _on_one_line(script: bytes) -> bytes:
    """`script` as a shell word without newlines: a variable stands for each."""
    return b"'" + script.replace(b"'", b"'\\''").replace(b"\n", b"'\"$ph_n\"'") + b"'"


def is_complete(output: bytes | bytearray, nonce: str) -> bool:
    """Whether `output` ends with the marker after which nothing of interest comes."""
    tail = bytes(output[-64:])
    mark = _end(nonce)
    return (
        mark in tail and tail.endswith(b"\n") and tail[tail.rfind(mark) + len(mark) : -1].isdigit()
    )


def has_begun(stdout: bytes | bytearray, nonce: str) -> bool:
    """Whether the far side started on the script."""
    return _begin(nonce) in stdout


def unpack(stdout: bytes, stderr: bytes, nonce: str) -> Answer | None:
    """The script's answer; None where its end did not come through."""
    content, code = _between(stdout, nonce)
    errors, _ = _between(stderr, nonce)
    return None if code is None else Answer(code, content, errors)


def _begin(nonce: str) -> bytes:
    return b"\n@%s begin\n" % nonce.encode()


def _end(nonce: str) -> bytes:
    return b"\n@%s end " % nonce.encode()


def _between(output: bytes, nonce: str) -> tuple[bytes, int | None]:
    begin = output.find(_begin(nonce))
    start = begin + len(_begin(nonce)) if begin >= 0 else len(output)
    stop = output.rfind(_end(nonce), start - 1)
    if stop < 0:
        return output[start:], None
    number, newline, _ = output[stop + len(_end(nonce)) :].partition(b"\n")
    code = int(number) if newline and number.isdigit() else None
    return output[start : max(start, stop)], code
