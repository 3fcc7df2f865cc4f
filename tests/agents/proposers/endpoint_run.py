"""A short search of an LLM against a server, as a person starts it; jobs that take no time."""

import json
import sys
from pathlib import Path

import forked
from openai_server import MODEL

ROOT = Path(__file__).parents[3]
PROGRAM = """\
import json, os, sys
os.chdir(os.path.dirname(sys.argv[1]))
x = json.load(open("hyperparameters.json"))["hyperparameters"]["x"]
result = {"schema": 1, "status": "completed", "metrics": {"accuracy_auc": 1 - (x - 0.4) ** 2}}
open("r", "w").write(json.dumps(result))
os.rename("r", "results.json")
"""


def write_config(directory, url, iterations, llm="", program=PROGRAM, timeout="60s"):
    """One trial an iteration; each fault is seen as it comes, and not mended by asking again."""
    (directory / "program.py").write_text(program)
    config = directory / "config.yaml"
    config.write_text(
        f"""\
experiment: {{id: faults}}
search_space: {{x: {{type: float, low: 0, high: 1}}, y: {{type: float, low: 0, high: 1}}}}
loop: {{max_iterations: {iterations}, jobs_per_iteration: 1}}
proposer: {{kind: llm}}
llm:
  base_url: "{url}"
  model: {MODEL}
  timeout: {timeout}
  max_retries: 0
  repair_attempts: 0
  tools: {{calls: 0}}
{llm}
training: {{command: ["{{python}}", -S, "{directory}/program.py", "{{hyperparameters}}"]}}
cluster: {{poll: {{floor: 0.05s}}}}
stop: {{failures_in_a_row: null}}
directories: {{local_base: "{directory}/results"}}
"""
    )
    return config


def command(*words):
    return [sys.executable, "-m", "agents.run", *map(str, words)]


def pilothouse(*words):
    """What a person sees of a command."""
    return forked.command(words)


def run_of(config):
    (run,) = (config.parent / "results").iterdir()
    return run


def trials_of(run):
    """By number, as the reports have them."""
    reports = sorted((run / "reports").glob("iteration_*.json"))
    found = [trial for path in reports for trial in json.loads(path.read_text())["trials"]]
    return {trial["trial"]: trial for trial in found}


def spread(number):
    """A point that lies far from those before it."""
    return {name: round((step * (number + 1)) % 1, 4) for name, step in (("x", 0.755), ("y", 0.57))}
