"""Ctrl-Z: the shell finds its terminal as it left it, and `fg` brings the panel back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """\
import os, signal
from agents.suspension import suspendable

def say(word):
    return lambda: print(word, flush=True)

HOW
with suspendable(say("closed"), say("redrawn")):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTSTP)
print("went on", flush=True)
"""


def started(how=""):
    return subprocess.Popen(
        [sys.executable, "-c", CODE.replace("HOW", how)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip


def test_the_screen_is_down_while_the_process_is_stopped_and_up_again_afterwards():
    child = started()
    for _ in range(2):
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), status
        assert child.stdout.readline() == "closed\n"
        os.kill(child.pid, signal.SIGCONT)
        assert child.stdout.readline() == "redrawn\n"
    assert child.stdout.read() == "went on\n"
    child.stdout.close()
    assert child.wait(60) == 0


def test_where_there_is_no_job_control_nothing_happens():
    said, _ = started("signal.signal(signal.SIGTSTP, signal.SIG_IGN)").communicate(timeout=60)
    assert said == "went on\n"
