"""A whole search for two objectives, and what it tells."""

import json
import re
import sys

import forked
import pytest

from agents.report.numbers import measure, number
from agents.report.reading import read_run

PROGRAM = """\
import json, os, sys
os.chdir(os.path.dirname(sys.argv[1]))
task = json.load(open("hyperparameters.json"))
x = task["hyperparameters"]["x"]
metrics = {"accuracy_auc": 0.2 + 0.5 * x, %s: 10 ** (3 * x)}
json.dump({"schema": 1, "status": "completed", "metrics": metrics}, open("results.tmp", "w"))
os.rename("results.tmp", "results.json")
"""


def shown(*words):
    """What a command that goes well says."""
    done = forked.command(words)
    done.check_returncode()
    return done.stdout


def run(directory, name):
    (directory / "program.py").write_text(PROGRAM % repr(name))
    (directory / "config.yaml").write_text(
        f"""\
experiment: {{id: two, seed: 1}}
objective: {{second: {{metric: flops}}}}
search_space: {{x: {{type: float, low: 0, high: 1}}}}
training: {{command: ["{sys.executable}", "-S", "{directory}/program.py", "{{hyperparameters}}"]}}
proposer: {{kind: sampler}}
loop: {{max_iterations: 4, jobs_per_iteration: 2}}
confirm: {{trials: 2, seeds: 1}}
cluster: {{poll: {{floor: 0.05s, ceiling: 0.3s}}}}
directories: {{local_base: "{directory}/results"}}
"""
    )
    done = forked.command(["--config", directory / "config.yaml"])
    return done, next((directory / "results").iterdir())


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return run(tmp_path_factory.mktemp("two"), "flops")


def test_it_ends_with_its_front(search):
    done, _ = search
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Pareto front: trials" in done.stdout


def test_both_values_of_a_trial_are_told_wherever_it_is(search):
    done, directory = search
    trial = next(each for each in read_run(directory).view.trials if each.number == 3)
    flops = measure(trial.metrics["flops"])
    assert f", flops {flops}" in done.stdout
    assert re.search(r"iteration 2 of 4 is done; best: .*; Pareto front: trials", done.stdout)
    iteration = (directory / "reports" / "iteration_002.md").read_text()
    assert "| accuracy_auc | flops | expected |" in iteration
    (row,) = [line for line in iteration.splitlines() if line.startswith("| 3 |")]
    assert f"| {flops} |" in row
    assert "The Pareto front of accuracy_auc and flops: trials" in iteration
    page = (directory / "reports" / "report.html").read_text()
    heads = page[page.index('<table id="table">') :].partition("</thead>")[0]
    assert '<th scope="col" class="n">flops</th>' in heads
    assert f"<td>{flops}</td>" in page
    told = shown("explain", directory, "3")
    assert f", flops {number(trial.metrics['flops'])}" in told


def test_every_trial_is_on_the_front_of_a_pure_trade_off(search):
    summary = json.loads((search[1] / "summary.json").read_text())
    told = summary["trade_off"]
    assert (told["metric"], told["direction"]) == ("flops", "minimize")
    assert len(told["front"]) == 8
    seconds = [one["second"] for one in told["front"]]
    assert seconds == sorted(seconds)


def test_its_status_tells_the_front(search):
    (state,) = json.loads(shown("status", search[1], "--json"))
    summary = json.loads((search[1] / "summary.json").read_text())
    ends = [(one["trial"], one["value"], one["second"]) for one in state["front"]]
    expected = summary["trade_off"]["front"]
    assert ends == [(one["trial"], one["value"], one["second"]) for one in expected]
    assert state["second_metric"] == "flops"
    assert "accuracy_auc, flops: trial" in " ".join(shown("status", search[1]).split())


def test_the_ends_of_the_front_run_again(search):
    summary = json.loads((search[1] / "summary.json").read_text())
    front = summary["trade_off"]["front"]
    again = {trial.confirms for trial in read_run(search[1]).view.trials} - {None}
    assert again == {front[0]["trial"], front[-1]["trial"]}


def test_its_report_begins_with_the_front(search):
    page = (search[1] / "reports" / "report.html").read_text()
    assert page.index('id="tradeoff"') < page.index('id="history"')
    assert page.index('href="#tradeoff">Trade-off') < page.index('href="#history"')
    assert 'the best trade-offs, has <a href="#tradeoff">8 trials</a>.' in page


def test_a_result_without_it_is_told_with_the_first_failure(tmp_path):
    done, directory = run(tmp_path, "size")
    assert done.returncode == 1
    assert "has no metric flops, which is the second objective; it has: accuracy_auc, size" in (
        done.stdout + (directory / "summary.json").read_text()
    )
