"""Where nobody reads what a search says: it goes on, and its files tell."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from quick_search import write_quick_search

ROOT = Path(__file__).parents[2]


def started(shell, *words, **streams):
    """The command line behind some words of a shell."""
    return subprocess.Popen(
        ["sh", "-c", f'{shell}; exec "$@" {streams.pop("to", "")}', "sh",
         sys.executable, "-m", "agents.run", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        **{"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams},
    )  # fmt: skip


def assert_ended(search, base):
    _, said = search.communicate(timeout=300)
    assert search.returncode == 0, said
    assert not said, said
    (run,) = (base / "results").iterdir()
    assert (run / "summary.json").exists()
    return run


@pytest.mark.parametrize("to", [">&-", "<&- >&-", "> /dev/full"])
def test_a_search_without_an_output_comes_to_its_end(tmp_path, to):
    config = write_quick_search(tmp_path)
    run = assert_ended(started(":", "--config", config, to=to), tmp_path)
    assert (run / "run.lock").read_text() == ""


def test_a_search_whose_reader_leaves_comes_to_its_end(tmp_path):
    config = write_quick_search(tmp_path)
    search = started(":", "--config", config, stdout=subprocess.PIPE)
    assert search.stdout.readline().startswith(b"run directory: ")
    search.stdout.close()
    search.stdout = None
    assert_ended(search, tmp_path)


def test_a_search_whose_terminal_has_gone_comes_to_its_end(tmp_path):
    """As after `disown`: nobody tells the search to leave, and its terminal takes nothing more."""
    config = write_quick_search(tmp_path)
    ours, terminal = pty.openpty()
    search = started("trap '' HUP", "--config", config, stdout=terminal, start_new_session=True)
    os.close(terminal)
    os.read(ours, 1)
    os.close(ours)
    assert_ended(search, tmp_path)


def test_files_never_take_the_numbers_of_streams_that_are_closed(tmp_path):
    code = (
        "import os, sys; from agents.streams import make_whole; make_whole();"
        f"os.write(os.open({str(tmp_path / 'told')!r}, os.O_CREAT | os.O_WRONLY), b'file');"
        "print('out'); print('error', file=sys.stderr); sys.stdout.flush(); os.system('echo child; echo child >&2')"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code],
        cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "told").read_bytes() == b"file"
