"""How busy an NVIDIA device is, asked beside a run."""

import os
import shutil
import statistics
import subprocess
import threading
import time

EVERY = 0.5
"""Seconds between two questions; the driver's own window is a sixth of a second to one second."""
PATIENCE = 10
"""Seconds for an answer: the tool of a driver that is in trouble may give none."""


class Watch:
    """Asks from `with` to its end, in a thread of the process that waits for the run."""

    def __init__(self, device: str) -> None:
        """`device`: as torch names it; of other makers' nothing is asked."""
        kind, _, place = device.partition(":")
        self._command = _question(int(place or 0)) if kind == "cuda" else None
        self.why = "nvidia-smi is not there" if kind == "cuda" and not self._command else ""
        """Why nothing could be asked, or what the last question met with instead of a number."""
        self._samples: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def mean(self, began: float, ended: float) -> float | None:
        """Percent of the time in which a kernel ran, between two times of the monotonic clock.

        None where nobody could be asked.
        """
        within = [share for when, share in self._samples if began <= when <= ended]
        return statistics.fmean(within) if within else None

    def _ask(self) -> None:
        # A process for each question: what a lasting one holds back in its buffer has no time.
        while self._command and not self._ended.wait(EVERY):
            told = _told(self._command)
            if told.isdecimal():
                self._samples.append((time.monotonic(), float(told)))
            else:  # "[N/A]" for a part of a device
                self.why = f"nvidia-smi: {told}"


def _told(command: list[str]) -> str:
    """The first line of its answer, or of its complaint."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    return next(iter((done.stdout.strip() or done.stderr.strip()).splitlines()), "no answer")


def _question(place: int) -> list[str] | None:
    if shutil.which("nvidia-smi") is None:
        return None
    # torch counts the devices that it may see, the driver's tool all of them.
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    name = visible[place].strip() if place < len(visible) else str(place)
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    return ["nvidia-smi", "-i", name, *query]
