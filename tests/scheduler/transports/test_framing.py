"""The framing against real shells and against noise."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.shell import quote
from scheduler.transports import framing

NONCE = "0123456789abcdef"
SHELLS = {
    "dash": "",
    "bash": "",
    "ksh": "",
    "mksh": "",
    "busybox": " sh",
    "zsh": " --emulate sh",  # as it is where it stands in for /bin/sh
}
"""Shells, and what makes them the one that scripts are for. yash takes no byte that is no text."""
# Any text a script can hold, lone bytes in the manner of os.fsdecode included.
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.integers(0x80, 0xFF).map(lambda byte: bytes([byte]).decode("utf-8", "surrogateescape"))
)


def run(shell: str, script: str, stdin: bytes) -> framing.Answer | None:
    path = shutil.which(shell)
    if not path:
        pytest.skip(f"needs the package {shell}")
    program = path + SHELLS[shell]
    sent = framing.pack(script, stdin, nonce=NONCE, timeout=180).replace(
        b"/bin/sh", program.encode()
    )
    command = framing.COMMAND.replace("/bin/sh", program)
    done = subprocess.run(["/bin/sh", "-c", command], input=sent, capture_output=True, timeout=180)
    return framing.unpack(done.stdout, done.stderr, NONCE)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=15, deadline=None)
@given(text=texts, stdin=st.binary(), code=st.integers(0, 255))
def test_every_posix_shell_reads_it(shell: str, text: str, stdin: bytes, code: int) -> None:
    answer = run(shell, f"printf %s {quote(text)}; cat >&2; exit {code}", stdin)
    content = text.encode("utf-8", "surrogateescape")
    assert answer == framing.Answer(code, content, stdin)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_posix_shell_reads_a_long_script(shell: str) -> None:
    answer = run(shell, "# é'\"\\$\n" * 30_000 + "cat", b"in")
    assert answer == framing.Answer(0, b"in", b"")


@given(
    before=st.binary(),
    content=st.binary(),
    after=st.binary(),
    errors=st.binary(),
    code=st.integers(0, 255),
)
def test_noise_around_the_answer_is_dropped(
    before: bytes, content: bytes, after: bytes, errors: bytes, code: int
) -> None:
    begin, end = f"\n@{NONCE} begin\n".encode(), f"\n@{NONCE} end {code}\n".encode()
    stdout, stderr = (before + begin + x + end + after for x in (content, errors))
    assert framing.unpack(stdout, stderr, NONCE) == framing.Answer(code, content, errors)


@given(content=st.binary(), cut=st.integers(0, 200))
def test_an_answer_cut_short_is_none(content: bytes, cut: int) -> None:
    whole = f"\n@{NONCE} begin\n".encode() + content + f"\n@{NONCE} end 0\n".encode()
    short = whole[: max(0, len(whole) - 1 - cut)]
    assert framing.unpack(short, short, NONCE) is None
    assert not framing.is_complete(short, NONCE)
    assert framing.is_complete(whole, NONCE)
