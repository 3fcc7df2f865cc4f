"""A PBS for tests: the replay always, a real OpenPBS where its commands are on PATH."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

REPLAY = Path(__file__).with_name("pbs_replay.py")


class ReplayedPbs:
    """The commands of `pbs_replay`, before everything else on PATH."""

    token = ""

    def __init__(self, base):
        self.state = base / "pbs"
        commands = base / "bin"
        self.state.mkdir()
        commands.mkdir()
        for name in ("qsub", "qstat", "qselect", "qdel", "qalter"):
            (commands / name).write_text(
                f'#!/bin/sh\nexec {sys.executable} -S {REPLAY} {name} "$@"\n'
            )
            (commands / name).chmod(0o755)
        self.environment = {
            "REPLAY_PBS": str(self.state),
            "PATH": f"{commands}:{os.environ['PATH']}",
        }

    @contextlib.contextmanager
    def weather(self, name, text=""):
        (self.state / name).write_text(text)
        try:
            yield
        finally:
            (self.state / name).unlink()

    def history_off(self):
        return self.weather("history_off")

    def frozen(self):
        return self.weather("frozen")

    def down(self):
        return self.weather("down")

    def limit(self, count):
        return self.weather("limit", str(count))

    def closed(self):
        return self.weather("closed")


class RealPbs:
    """The server that ``qsub`` reaches, which the tests may reconfigure and stop."""

    environment = {"PATH": os.environ["PATH"]}
    how = "set PILOTHOUSE_TEST_PBS=1 where qsub reaches an OpenPBS that may be reconfigured"

    def __init__(self):
        # Its history keeps the jobs of earlier tests.
        self.token = f"-{secrets.token_hex(3)}"

    @staticmethod
    def is_there():
        commands = all(shutil.which(name) for name in ("qsub", "qstat", "qmgr"))
        return commands and os.environ.get("PILOTHOUSE_TEST_PBS") == "1"

    @contextlib.contextmanager
    def setting(self, on, off):
        subprocess.run(["qmgr", "-c", on], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(["qmgr", "-c", off], check=True, capture_output=True)

    def history_off(self):
        return self.setting(
            "set server job_history_enable = False", "set server job_history_enable = True"
        )

    def limit(self, count):
        return self.setting(
            f"set server max_queued = [u:PBS_GENERIC={count}]", "unset server max_queued"
        )

    def closed(self):
        return self.setting("set queue workq enabled = False", "set queue workq enabled = True")

    @contextlib.contextmanager
    def frozen(self):
        found = subprocess.run(["pgrep", "-f", "pbs_server.bin"], capture_output=True, text=True)
        pids = [int(pid) for pid in found.stdout.split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def down(self):
        return self.frozen()
