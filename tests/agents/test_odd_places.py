"""Places in which nothing can be done: one message says so."""

import json
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


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_run_that_is_taken_away_under_its_search_is_said_to_be_gone(tmp_path, how):
    config = write_quick_search(tmp_path)
    taken = "os.rename(run, run + '_moved')" if how == "moved" else "shutil.rmtree(run)"
    # The first job does it, so that the search is in its midst.
    (tmp_path / "away.py").write_text(
        "import os, shutil, sys\nrun = os.path.dirname(sys.argv[1])\n"
        f"os.path.exists(run + '/run.json') and {taken}\n"
    )
    command = json.dumps([sys.executable, str(tmp_path / "away.py"), "{job_dir}"])
    done = run(tmp_path, "", "--config", config, "--set", f"training.command={command}")
    assert done.returncode == 1, done.stdout
    said = done.stderr.decode()
    assert "is not there any more" in said, said
    assert "nothing is lost" not in said
    assert "Traceback" not in said
