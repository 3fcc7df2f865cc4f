"""How long a person waits for `--help` and for the message about a mistake in a configuration."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 9
BAD = "experiment: {id: bench}\nserach_space: {}\n"


def measure() -> list[tuple[str, str, str, str]]:
    with tempfile.TemporaryDirectory() as directory:
        bad = Path(directory) / "bad.yaml"
        bad.write_text(BAD)
        commands = {
            "python -c pass": ["-c", "pass"],
            "--help": ["-m", "agents.run", "--help"],
            "configuration error": ["-m", "agents.run", "--config", str(bad)],
        }
        seconds = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, arguments in commands.items():
                began = time.perf_counter()
                subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
                seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    plain = median.pop("python -c pass")
    return [
        (name, f"{value:.3f} s", f"{value / plain:.1f} x python -c pass ({plain:.3f} s)", "0.5 s")
        for name, value in median.items()
    ]
