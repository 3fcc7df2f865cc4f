"""The programs in processes of their own, forked from a server that has imported the heavy libraries.

To start Python and import them takes longer than most commands and trainings do.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["preload"])
ROOT = Path(__file__).parents[1]


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
    """In the forked process: be what a Python that is started with these arguments would be."""
    assert "preload" in sys.modules, "the server has imported nothing"
    os.environ.clear()
    os.environ.update(environment)
    if directory is not None:
        os.chdir(directory)
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, output, _NEW), (2, errors, _NEW)):
        file = os.open(path, mode)
        os.dup2(file, number)
        os.close(file)
    sys.path[:0] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.argv = ["pilothouse", *arguments]


_NEW = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def _command(*where):
    become(*where)
    from agents import run

    run.main()


def _training(*where):
    become(*where)
    from training import train

    sys.exit(train.main())


def _script(*where):
    become(*where)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


class Program:
    """A process of its own of one of the programs, without a terminal; what it says is in files."""

    def __init__(self, main, arguments, environment, directory=ROOT):
        self._place = tempfile.TemporaryDirectory()
        self._files = [os.path.join(self._place.name, name) for name in ("output", "errors")]
        words, variables = list(map(str, arguments)), dict(environment)
        self._process = process(main, words, variables, *self._files, str(directory))
        self._process.start()

    def send_signal(self, number):
        os.kill(self._process.pid, number)

    def wait(self, seconds=300):
        """Its end: the exit code, negative for a signal, and all that it said."""
        self._process.join(seconds)
        ended = self._process.exitcode is not None
        if not ended:
            self._process.kill()
            self._process.join()
        said = [Path(file).read_text() for file in self._files]
        if not ended:
            raise subprocess.TimeoutExpired("forked", seconds, *said)
        return subprocess.CompletedProcess("forked", self._process.exitcode, *said)


def command(arguments, *, environment=os.environ, directory=ROOT, seconds=300):
    """Like `subprocess.run` of `python -m agents.run`."""
    return Program(_command, arguments, environment, directory).wait(seconds)


def training(*arguments, environment=os.environ):
    """Like `subprocess.Popen` of `python -m training.train`."""
    return Program(_training, arguments, environment)


def script(path, *arguments, environment=os.environ):
    """Like `subprocess.Popen` of Python with this file, which may import what this checkout has."""
    return Program(_script, [path, *arguments], environment)
