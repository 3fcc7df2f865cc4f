"""A command with `{adapt}` is understood before anything runs."""

import json
from pathlib import Path

import pytest

from agents.adapter import archive
from agents.commands.dry_run import rendered_json
from agents.config import load
from agents.doctor.program import needs_of
from agents.errors import ConfigurationError
from agents.jobs import job_request
from agents.trial import Job, Trial, TrialState
from scheduler.script import polite_signal

ROOT = Path(__file__).parents[3]
GOOD = ["{python}", "{adapt}", "--metric", "val_acc", "--step", "epoch", "--"]
PROGRAM = ["{python}", "train.py", "--lr", "{lr}", "--epochs={epochs}", "{job_dir}/out"]


def problems(tmp_path, command, *more, objective="{metric: val_acc}"):
    path = tmp_path / "config.yaml"
    path.write_text(
        "experiment: {id: x}\nsearch_space: {lr: {type: float, low: 0, high: 1}}\n"
        f"objective: {objective}\n"
        f"training: {{command: {json.dumps(command)}, directory: ., budget: {{epochs: 3}}}}\n"
    )
    try:
        load(path, list(more))
    except ConfigurationError as error:
        return str(error)
    return ""


def test_a_good_one_is_taken(tmp_path):
    assert problems(tmp_path, GOOD + PROGRAM) == ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            [*GOOD, *PROGRAM, "{lrr}"],
            "{lrr} is in neither search_space nor training.budget; did you mean {lr}?",
        ),
        (GOOD + PROGRAM[:4], "epochs would have no effect"),
        (["{python}", "{adapt}", "--metric", "val_acc"], "come `--` and your program"),
        (["{adapt}", "--metric=val_acc", "--", *PROGRAM], "after the Python that runs it"),
        (["{python}", "{adapt}", "--metrc=a", "--", *PROGRAM], "did you mean --metric?"),
        (
            ["{python}", "{adapt}", "--metric=valid_acc", "--", *PROGRAM],
            "reads no val_acc; did you mean valid_acc?",
        ),
        (
            ["{python}", "{adapt}", "--metric=val_acc", "--from=log.csv", "--", *PROGRAM],
            "--from log.csv is one file for all trials",
        ),
        (
            ["{python}", "{adapt}", "--metric=val_acc", "--", "sh", "-c", "run {lr} {epochs}"],
            "a shell would read the values",
        ),
        (
            ["{python}", "train.py", "{hyperparameters}", "{lr}"],
            "{lr} is not filled in; {adapt} does that",
        ),
        (["{python}", "train.py", "{hyperparameter}"], "did you mean {hyperparameters}?"),
    ],
)
def test_what_would_go_wrong_is_said_before(tmp_path, command, said):
    assert said in problems(tmp_path, command)


def test_a_metric_of_the_curve_needs_an_accuracy(tmp_path):
    auc = "{metric: accuracy_auc}"
    assert "--percent NAME" in problems(tmp_path, GOOD + PROGRAM, objective=auc)
    command = ["{python}", "{adapt}", "--percent", "val_acc", "--", *PROGRAM]
    assert problems(tmp_path, command, objective=auc) == ""


def test_a_parameter_cannot_have_the_name_of_what_is_filled_in_for_all(tmp_path):
    seed = "search_space={seed: {type: int, low: 0, high: 9}}"
    command = [*GOOD, "run", "{seed}", "{epochs}"]
    assert "{seed} is filled in by Pilothouse itself" in problems(tmp_path, command, seed)


def test_values_may_go_to_a_file_that_is_looked_at_in_the_job(tmp_path):
    command = [
        "{python}",
        "{adapt}",
        "--metric=val_acc",
        "--fill=run.in",
        "--",
        "./run",
        "{job_dir}/run",
    ]
    assert problems(tmp_path, command) == ""


def test_the_doctor_looks_for_the_program_behind_it():
    needs = needs_of(GOOD + PROGRAM, "PY")
    assert (needs.program, needs.python, needs.files) == ("PY", "PY", ["train.py"])
    needs = needs_of([*GOOD, "./solver", "{lr}"], "PY")
    assert (needs.program, needs.python) == ("./solver", "PY")


def test_srun_behind_it_is_asked_to_end_as_srun_is():
    assert polite_signal(["python3", "/job/adapt.pyz", "--metric=a", "--", "srun", "x"]) == "USR1"
    assert polite_signal(["python3", "train.py", "--", "x"]) == "TERM"


def test_no_value_stands_in_the_script_of_a_job(tmp_path):
    assert problems(tmp_path, [*GOOD, *PROGRAM], "initial_trials=[{lr: 0.123456789}]") == ""
    loaded = load(tmp_path / "config.yaml", ["initial_trials=[{lr: 0.123456789}]"])
    document = json.loads(rendered_json(loaded))
    (script,) = document["script"].values()
    assert document["hyperparameters"]["hyperparameters"] == {"lr": 0.123456789}
    assert "'{lr}'" in script and "0.123456789" not in script
    assert f"{document['directory']}/adapt.pyz" in script


def test_the_adapter_goes_to_jobs_that_ask_for_it_and_is_the_same_each_time():
    archive.cache_clear()
    first = archive()
    archive.cache_clear()
    assert first == archive()
    settings = load(ROOT / "examples" / "unchanged" / "config.yaml").settings
    job = Job(name="j", directory="d")
    trial = Trial(0, 1, TrialState.RUNNING, {"lr": 1}, "user", seed=0, job=job)
    assert job_request(trial, settings, "/root").files["adapt.pyz"] == first
    other = load(ROOT / "examples" / "digits" / "config.yaml").settings
    assert list(job_request(trial, other, "/root").files) == ["hyperparameters.json"]
