"""``report --open-dashboard``: the study in optuna-dashboard, on this machine alone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from agents.errors import ConfigurationError
from agents.report.reading import read_run

HOST = "127.0.0.1"


def serve(directory: Path, port: int, say: Callable[[str], None]) -> None:
    """Serve the run's study until Ctrl-C. Raises ConfigurationError where that cannot be.

    In this process, so that a password in the storage's URL shows in no list of processes.
    """
    try:
        import optuna_dashboard
    except ImportError as error:
        raise ConfigurationError(
            "--open-dashboard needs optuna-dashboard, which is not installed here: "
            'pip install "pilothouse[dashboard]", or pip install optuna-dashboard'
        ) from error
    reading = read_run(directory)
    workspace = reading.workspace
    if reading.salvaged is not None:
        raise ConfigurationError(
            f"{reading.salvaged.reason}; `report {workspace.directory}` saves what is left of it"
        )
    if not _is_free(port):
        raise ConfigurationError(f"port {port} of {HOST} is taken: choose another with --port")
    import optuna

    url = reading.settings.ledger.storage or f"sqlite:///{workspace.study_file}"
    storage = optuna.storages.get_storage(url)
    say(f"{workspace.name} at http://{HOST}:{port}/dashboard/ until Ctrl-C")
    say(f"  from another machine: ssh -L {port}:{HOST}:{port} {socket.gethostname()}")
    signal.signal(signal.SIGINT, _leave)
    optuna_dashboard.run_server(storage, host=HOST, port=port)


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: the server swallows a KeyboardInterrupt that comes within a request. There is
    nothing to tidy up; what it writes, the storage takes whole or not at all."""
    os._exit(128 + number)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
