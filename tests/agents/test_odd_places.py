"""Places in which nothing can be done: one message says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from quick_search import write_quick_search

ROOT = Path(__file__).parents[2]


def run(directory, shell, *words):
    return subprocess.run(
        ["sh", "-c", f'{shell} exec "$@"', "sh", sys.executable, "-m", "agents.run", *map(str, words)],
        cwd=directory, capture_output=True, stdin=subprocess.DEVNULL, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [["--config", "CONFIG"], ["--config", "../config.yaml"], ["list"], ["status", "results"]],
)
def test_a_directory_that_was_deleted_meanwhile(tmp_path, words):
    config = tmp_path / "config.yaml"
    config.write_text(write_quick_search(tmp_path).read_text().split("directories:")[0])
    gone = tmp_path / "gone"
    gone.mkdir()
    words = [word.replace("CONFIG", str(config)) for word in words]
    done = run(gone, 'rmdir "$PWD";', *words)
    assert done.returncode == 2, done.stdout
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"has been deleted" in done.stderr


def test_a_directory_whose_name_is_no_text(tmp_path):
    odd = os.fsencode(tmp_path) + b"/gr\xfc\xdfe"
    os.mkdir(odd)
    config = tmp_path / "config.yaml"
    config.write_text(write_quick_search(tmp_path).read_text().split("directories:")[0])
    done = run(odd, "", "--config", config)
    assert done.returncode == 2, done.stdout
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"is no UTF-8" in done.stderr
    assert b"rename" in done.stderr
