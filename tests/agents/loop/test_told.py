"""Whole searches that tell people elsewhere: of a login that is needed, of the end, of a signal."""

import signal
import sys
import time

from loop_run import start, write_config

TELL = """\
import os, pathlib, sys
place = pathlib.Path(sys.argv[0]).parent / "told"
place.mkdir(exist_ok=True)
name = place / os.environ["PILOTHOUSE_EVENT"]
name.with_suffix(".new").write_text(sys.stdin.read())
name.with_suffix(".new").rename(name)
"""


def telling(tmp_path, extra=""):
    (tmp_path / "tell.py").write_text(TELL)
    config = write_config(tmp_path)
    command = f'[{sys.executable}, -S, "{tmp_path / "tell.py"}"]'
    config.write_text(f"{config.read_text()}notify: {{command: {command}, after: 0.1s}}\n{extra}")
    return config


def test_the_end_is_told_with_what_was_found(tmp_path):
    search = start(telling(tmp_path))
    assert search.wait() == 0, search.screen
    told = (tmp_path / "told" / "ended").read_text()
    assert told.startswith("pilothouse crash: ended, accuracy_auc 0.")
    assert "stopped: 2 of 2 iterations are done\nbest: trial " in told
    assert "report.html\nrun directory: " in told


def test_a_login_that_is_needed_and_a_signal_are_told(tmp_path):
    config = telling(tmp_path)
    far = f"{{kind: ssh, host: nowhere.invalid, config_file: {tmp_path / 'ssh_config'}}}"
    (tmp_path / "ssh_config").touch()
    search = start(
        config, "--set", f"cluster.transport={far}", "--set", "cluster.remote_base=~/runs"
    )
    waiting = tmp_path / "told" / "waiting"
    limit = time.monotonic() + 120
    while not waiting.exists():
        assert time.monotonic() < limit, search.screen
        time.sleep(0.05)
    told = waiting.read_text()
    assert told.startswith("pilothouse crash: waits for ssh login\n")
    assert f"to go on: python -m agents.run connect --config {config}" in told
    search.kill(signal.SIGTERM)
    assert search.wait() == 143, search.screen
    told = (tmp_path / "told" / "left").read_text()
    assert told.startswith("pilothouse crash: left on SIGTERM\n")
    assert "to go on: python -m agents.run --resume " in told
