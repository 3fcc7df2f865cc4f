"""What was read, as the contract wants it written."""

import json
import math
import os
import time
from collections.abc import Mapping
from typing import Any

from training.adapt.numbers import Epoch, Reader
from training.adapt.options import Wanted


class Ledger:
    """Writes what was read as the contract wants it."""

    def __init__(self, job: str, wanted: Wanted, task: "Mapping[str, Any]") -> None:
        self._job, self._wanted, self._task = job, wanted, task
        self._began = time.time()
        self._written = 0

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether the orchestrator wants the trial to end."""
        return os.path.exists(os.path.join(self._job, "STOP"))

    def metrics(self, reader: Reader) -> None:
        """Append a line for each new epoch."""
        new = reader.epochs[self._written :]
        if not new:
            return
        with open(os.path.join(self._job, "metrics.jsonl"), "a") as stream:
            for epoch in new:
                line = {name: _finite(value) for name, value in epoch.values.items()}
                line.update(self._accuracy(epoch), step=epoch.step, time=round(epoch.time, 3))
                stream.write(json.dumps(line) + "\n")
        self._written = len(reader.epochs)

    def _accuracy(self, epoch: Epoch) -> "dict[str, float | None]":
        value = epoch.values.get(self._wanted.accuracy or "")
        if value is None:
            return {}
        return {"accuracy": _finite(value / 100 if self._wanted.is_percent else value)}

    def result(self, status: str, **more: Any) -> None:
        """Write results.json, by rename."""
        document = {
            "schema": 1,
            "status": status,
            "trial": self._task.get("trial"),
            "job": self._task.get("job"),
        }
        document["seconds"] = max(0.0, time.time() - self._began)
        document.update(more, hyperparameters=self._task.get("hyperparameters") or {})
        path = os.path.join(self._job, "results.json")
        with open(path + ".tmp", "w") as stream:
            json.dump(document, stream, indent=2, allow_nan=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(path + ".tmp", path)

    def numbers(self, reader: Reader) -> "dict[str, Any]":
        """Metrics (the last of each) and curve for a result."""
        last = {}  # type: dict[str, float | None]
        for epoch in reader.epochs:
            last.update({name: _finite(value) for name, value in epoch.values.items()})
        judged = [(epoch.step, self._accuracy(epoch)) for epoch in reader.epochs]
        curve = [(step, found["accuracy"]) for step, found in judged if found]
        return {
            "metrics": last,
            "curve": {
                "step": [step for step, _ in curve],
                "accuracy": [value for _, value in curve],
            },
        }


def _finite(value: float) -> "float | None":
    return value if math.isfinite(value) else None
