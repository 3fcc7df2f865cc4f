"""The command line in a process of its own, forked from a server that has imported the heavy libraries.

To start Python and import them takes longer than most commands do.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["preload"])
ROOT = Path(__file__).parents[2]


def process(target, *arguments):
    """A process that is not started yet."""
    _start_server()
    return CONTEXT.Process(target=target, args=arguments)


def _start_server():
    # It looks for what it shall import where PYTHONPATH says (3.11 and 3.12), and is silent about
    # what it does not find.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(ROOT)]))
        multiprocessing.forkserver.ensure_running()


def become(arguments, environment, output, errors, directory=None):
    """In the forked process: be what `python -m agents.run` with these arguments would be."""
    assert "preload" in sys.modules, "the server has imported nothing"
    os.environ.clear()
    os.environ.update(environment)
    if directory is not None:
        os.chdir(directory)
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, output, _NEW), (2, errors, _NEW)):
        file = os.open(path, mode)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["pilothouse", *arguments]


_NEW = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def _command(*where):
    become(*where)
    from agents import run

    run.main()


def command(arguments, *, environment, directory=ROOT, seconds=300):
    """Like `subprocess.run` of `python -m agents.run`, without a terminal."""
    with tempfile.TemporaryDirectory() as place:
        files = [os.path.join(place, name) for name in ("output", "errors")]
        child = process(_command, list(map(str, arguments)), environment, *files, str(directory))
        child.start()
        child.join(seconds)
        ended = child.exitcode is not None
        if not ended:
            child.kill()
            child.join()
        said = [Path(file).read_text() for file in files]
        if not ended:
            raise subprocess.TimeoutExpired(arguments, seconds, *said)
        return subprocess.CompletedProcess(arguments, child.exitcode, *said)
