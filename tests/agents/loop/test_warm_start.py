"""A search that begins with what another one found."""

import json
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import forked
import pytest

from agents.config import load
from agents.earlier import FILE, MOST, collected, earlier_trials
from agents.errors import ConfigurationError
from agents.proposers.build import build_card, build_sampler
from agents.proposers.gate import Gate
from agents.proposers.prompt import render_prompt
from agents.report.reading import read_run
from agents.space import SearchSpace
from agents.trial import StudyView, TrialState

PROGRAM = """\
import json, os, sys
os.chdir(os.path.dirname(sys.argv[1]))
task = json.load(open("hyperparameters.json"))
x, kind = task["hyperparameters"]["x"], task["hyperparameters"]["kind"]
if x > 0.9:
    sys.exit("too much")
value = 1 - (x - 0.4) ** 2 - (kind == "b") / 10
result = {"schema": 1, "status": "completed", "metrics": {"accuracy_auc": value}, "seconds": 2.0}
open("r", "w").write(json.dumps(result))
os.rename("r", "results.json")
"""
SPACE = "x: {type: float, low: 0, high: 1}, kind: {type: categorical, choices: [a, b]}"


def write(directory, name, more="", space=SPACE, iterations=4):
    (directory / "program.py").write_text(PROGRAM)
    config = directory / f"{name}.yaml"
    config.write_text(
        f"""\
experiment: {{id: {name}, seed: 3}}
search_space: {{{space}}}
training: {{command: ["{sys.executable}", "-S", "{directory}/program.py", "{{hyperparameters}}"]}}
proposer: {{kind: sampler}}
stop: {{failures_in_a_row: null}}
loop: {{max_iterations: {iterations}, jobs_per_iteration: 3}}
cluster: {{batch_system: {{kind: local, slots: 3}}, poll: {{floor: 0.05s, ceiling: 0.3s}}}}
directories: {{local_base: "{directory}/{name}"}}
{more}
"""
    )
    return config


def search(config, *more):
    return forked.command(more or ("--config", config))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("warm")


@pytest.fixture(scope="module")
def before(place):
    """The run of an earlier search."""
    done = search(write(place, "before", "initial_trials: [{x: 0.95}]"))
    assert done.returncode == 0, done.stdout + done.stderr
    return next((place / "before").iterdir())


def found(config):
    settings = load(config).settings
    space = SearchSpace.build(settings.search_space, settings.constraints)
    return settings, space, collected(settings, space)


def test_a_search_begins_with_it_and_says_so(place, before):
    config = write(place, "after", f'warm_start: ["{before}"]', iterations=1)
    dry = search(config, "--config", str(config), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    done = search(config)
    assert done.returncode == 0, done.stdout + done.stderr
    run = next((place / "after").iterdir())
    said = f"warm start: 12 of 12 trials of {before}"
    reading = read_run(run)
    for text in (dry.stdout, done.stdout, "\n".join(reading.facts.notices)):
        assert said in text
    default, *others = reading.view.trials
    assert default.origin == "default"
    # The model is asked at once: nothing is left to spread over the space.
    assert all("Gaussian process" in trial.rationale for trial in others)
    assert len(reading.view.trials) == 3
    assert len(json.loads((run / "warm_start.json").read_text())["trials"]) == 12


def test_a_resume_needs_nothing_of_the_earlier_run(place, before):
    copy = place / "copy"
    shutil.copytree(before, copy)
    config = write(place, "alone", f'warm_start: ["{copy}"]', iterations=2)
    assert search(config).returncode == 0
    run = next((place / "alone").iterdir())
    kept = (run / "warm_start.json").read_bytes()
    shutil.rmtree(copy)
    done = search(config, "resume", str(run), "--set", "loop.max_iterations=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(read_run(run).view.trials) == 9
    assert (run / "warm_start.json").read_bytes() == kept


def test_what_does_not_fit_into_the_space_is_left_out_with_the_reason(place, before):
    narrow = "x: {type: float, low: 0, high: 0.5}, kind: {type: fixed, value: a}, more: {type: int, low: 1, high: 9, default: 4}"
    _, _, taken = found(write(place, "narrow", f'warm_start: ["{before}"]', narrow))
    trials = read_run(before).view.trials
    fitting = [t for t in trials if t.parameters["x"] <= 0.5 and t.parameters["kind"] == "a"]
    assert [one.parameters for one in taken.trials] == [
        {**t.parameters, "more": 4} for t in fitting
    ]
    (line,) = taken.said
    assert f"{len(fitting)} of 12 trials" in line
    wide = sum(t.parameters["x"] > 0.5 for t in trials)
    assert f"({wide} not: x: " in line, "all in one, whatever their values"
    assert "is not between 0 and 0.5 and the like" in line
    _, _, none = found(
        write(place, "gone", f'warm_start: ["{before}"]', "x: {type: float, low: 0, high: 1}")
    )
    assert none.trials == []
    assert "12 not: there is no parameter kind any more" in none.said[0]


def test_failures_are_lessons_too(place, before):
    _, _, taken = found(write(place, "lessons", f'warm_start: ["{before}"]'))
    trials = read_run(before).view.trials
    failed = [t for t in trials if t.state is TrialState.FAILED]
    assert failed
    assert [t.parameters for t in taken.trials if t.state is TrialState.FAILED] == [
        t.parameters for t in failed
    ]
    assert all(trial.teaches for trial in taken.trials)


def test_the_llm_sees_the_best_of_them_and_the_gate_knows_them(place, before):
    settings, space, taken = found(write(place, "told", f'warm_start: ["{before}"]'))
    view = replace(StudyView.of(settings, []), earlier=taken.trials)
    text = render_prompt(build_card(settings, space), view, 1)
    best = read_run(before).view.best
    shown = text.split("# The best runs of earlier searches")[1]
    assert f"- {best.value:.4g}; x={best.parameters['x']:.4g}"[:12] in shown
    assert "Begin with what the earlier runs tell" in shown
    assert "earlier searches" not in render_prompt(
        build_card(settings, space), replace(view, earlier=()), 1
    )
    pool = build_sampler(settings, space).propose(view, 3).proposals
    gate = Gate.of(space, view, pool)
    worst = replace(pool[0], parameters={"x": 0.0, "kind": "b"})
    assert gate.objection(worst) is not None


def test_a_long_history_is_cut_to_its_best_and_a_part_of_the_rest(place, before, monkeypatch):
    monkeypatch.setattr("agents.earlier.MOST", 6)
    _, _, taken = found(write(place, "cut", f'warm_start: ["{before}"]'))
    assert MOST == 100
    assert [trial.number for trial in taken.trials] == list(range(6))
    values = sorted((t.value for t in read_run(before).view.completed), reverse=True)
    assert set(values[:3]) <= {trial.value for trial in taken.trials}
    assert taken.said[-1] == "warm start: 6 of these 12 trials are kept"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("warm_start: [nowhere]", "warm_start: .*nowhere: this is not a run directory"),
        (
            'warm_start: ["BEFORE"]\nobjective: {direction: minimize}',
            "BEFORE was to maximize accuracy_auc, and this search is to minimize accuracy_auc",
        ),
    ],
)
def test_what_cannot_be_begun_with_is_one_clear_error(place, before, more, words):
    config = write(place, "wrong", more.replace("BEFORE", str(before)))
    with pytest.raises(ConfigurationError, match=words.replace("BEFORE", str(before))):
        found(config)
    done = search(config)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (place / "wrong").exists(), "a run that cannot begin is not offered to be resumed"


def test_another_list_at_a_resume_is_read_anew(place, before, tmp_path):
    settings, space, taken = found(write(place, "list", f'warm_start: ["{before}"]'))
    first = earlier_trials(settings, space, tmp_path)
    assert (len(first.trials), len(first.said)) == (12, 1)
    again = earlier_trials(settings, space, tmp_path)
    assert (again.trials, again.said) == (taken.trials, ())
    fewer = settings.model_copy(update={"warm_start": [before, before]})
    assert len(earlier_trials(fewer, space, tmp_path).said) == 2


def test_a_damaged_note_of_them_is_made_anew(place, before, tmp_path):
    settings, space, taken = found(write(place, "damaged", f'warm_start: ["{before}"]'))
    for damage in (
        "",
        "{",
        "[]",
        '{"runs": 1}',
        json.dumps({"runs": [str(before)], "trials": [{}]}),
    ):
        (tmp_path / FILE).write_text(damage)
        assert earlier_trials(settings, space, tmp_path).trials == taken.trials
        assert len(json.loads((tmp_path / FILE).read_text())["trials"]) == 12


def test_a_replay_begins_with_what_its_run_began_with(place, before, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(before, copy)
    config = write(place, "first", f'warm_start: ["{copy}"]')
    settings, space, taken = found(config)
    run = tmp_path / "run"
    run.mkdir()
    earlier_trials(settings, space, run)
    shutil.rmtree(copy)
    again = load(config, [f"llm.replay={run}"]).settings
    assert collected(again, space).trials == taken.trials
    with pytest.raises(ConfigurationError, match="not a run directory"):
        collected(settings, space)


def test_the_best_of_a_search_for_two_are_its_front(place, before, monkeypatch):
    monkeypatch.setattr("agents.earlier.MOST", 6)
    view = read_run(before).view
    trials = [replace(trial, seconds=100.0, metrics={}) for trial in view.completed]
    config = write(
        place, "front", f'warm_start: ["{before}"]\nobjective: {{second: {{metric: seconds}}}}'
    )
    for at, trial in enumerate(trials):
        quick = [*trials[:at], replace(trial, value=-1.0, seconds=1.0), *trials[at + 1 :]]
        reading = SimpleNamespace(view=replace(view, trials=quick))
        monkeypatch.setattr("agents.earlier.read_run", lambda path, known=reading: known)
        assert -1.0 in {one.value for one in found(config)[2].trials}


def test_the_first_question_shows_them(place, before):
    config = write(place, "asked", f'warm_start: ["{before}"]')
    asked = search(config, "prompt", "--config", str(config))
    assert asked.returncode == 0, asked.stderr
    assert "# The best runs of earlier searches" in asked.stdout


def test_what_nobody_told_of_the_trials_is_said(place, before):
    more = SPACE + ", depth: {type: int, low: 1, high: 9, default: 4}"
    (line,) = found(write(place, "depth", f'warm_start: ["{before}"]', more))[2].said
    assert line.endswith("; of what is new they are taken to have had depth=4")
    assert ";" not in found(write(place, "same", f'warm_start: ["{before}"]'))[2].said[0]


def test_trials_that_did_not_measure_the_second_objective_are_counted(place, before):
    two = f'warm_start: ["{before}"]\nobjective: {{second: {{metric: %s}}}}'
    completed = [t for t in read_run(before).view.trials if t.state is TrialState.COMPLETED]
    (line,) = found(write(place, "flops", two % "flops"))[2].said
    assert f"; {len(completed)} of them did not measure flops, and teach nothing of it" in line
    assert ";" not in found(write(place, "took", two % "seconds"))[2].said[0]
