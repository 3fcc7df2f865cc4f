"""The doctor on real parts: configurations to examine, and what it says of them."""

import json
import os
import sys
import textwrap
from pathlib import Path

import forked

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "import sys\nprint(sys.argv)\n"


def write_config(directory, cluster="", training="", llm="", extra=""):
    """A configuration whose every part is well, but for what is given."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "train.py").write_text(PROGRAM)
    path = directory / "config.yaml"
    parts = [
        "experiment: {id: examined}",
        "search_space:\n  x: {type: float, low: 0, high: 1}",
        training
        or f'training: {{command: ["{sys.executable}", train.py, "{{hyperparameters}}"], '
        f'directory: "{directory}"}}',
        cluster or "cluster: {batch_system: {kind: local}}",
        llm,
        f'directories: {{local_base: "{directory / "results"}"}}',
        extra,
    ]
    path.write_text("\n".join(textwrap.dedent(part) for part in parts if part) + "\n")
    return path


def doctor(config, *more, **environment):
    """The exit code, and what was found by name."""
    done = run("doctor", "--config", config, "--json", *more, **environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)}


def run(*arguments, **environment):
    return forked.command(arguments, environment={**os.environ, **environment})


def outcomes(found):
    return {name: row["outcome"] for name, row in found.items()}


def left(base):
    """What an examination left below `base`."""
    return sorted(path.name for path in Path(base).rglob("*"))
