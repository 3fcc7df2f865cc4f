import random
import warnings
from dataclasses import replace

import pytest
from report_samples import SPACE as SPACE_OF_SAMPLES
from report_samples import study
from trials import trial

from agents.config.model import CategoricalParameter, FixedParameter, FloatParameter
from agents.report.importance import FEWEST_TRIALS, MOST_TRIALS, importances
from agents.trial import StudyView

SPACE = {
    "idle": FloatParameter(type="float", low=0, high=1),
    "matters": FloatParameter(type="float", low=1e-4, high=1, scale="log"),
    "kind": CategoricalParameter(type="categorical", choices=["a", "b"]),
    "only_b": FloatParameter(type="float", low=0, high=1, when={"kind": "b"}),
    "fixed": FixedParameter(type="fixed", value=3),
}


def view(count, direction="maximize", **changes):
    chance = random.Random(3)
    sign = 1 if direction == "maximize" else -1
    trials = []
    for number in range(count):
        parameters = {
            "idle": chance.random(),
            "matters": 10 ** chance.uniform(-4, 0),
            "kind": chance.choice("ab"),
            "fixed": 3,
            **changes,
        }
        if parameters["kind"] == "b":
            parameters["only_b"] = chance.random()
        trials.append(trial(number, sign * parameters["matters"], parameters=parameters))
    return StudyView("x", "metric", direction, trials)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_parameter_that_decides_comes_first(direction):
    found = importances(view(200, direction), SPACE)
    assert found.shares[0][0] == "matters"
    assert found.shares[0][1] > 0.8
    assert {name for name, _ in found.shares} == {"idle", "matters", "kind", "only_b"}
    assert sum(share for _, share in found.shares) == pytest.approx(1)


def test_they_are_the_same_each_time():
    assert importances(view(100), SPACE) == importances(view(100), SPACE)


def test_few_trials_make_no_importances_and_the_page_is_told():
    found = importances(view(FEWEST_TRIALS - 1), SPACE)
    assert not found.shares
    assert found.missing == "Importances need 10 completed trials; there are 9."
    assert importances(view(FEWEST_TRIALS), SPACE).shares


def test_many_trials_are_sampled():
    assert importances(study(1500), SPACE_OF_SAMPLES).trials == MOST_TRIALS


def test_equal_objectives_and_single_parameters_have_none():
    same = view(30)
    same = replace(same, trials=[replace(trial, value=0.5) for trial in same.trials])
    assert "same objective" in importances(same, SPACE).missing
    assert "single parameter" in importances(view(30), {"idle": SPACE["idle"]}).missing


def test_parameters_outside_a_changed_space_do_not_count():
    whole = view(60)
    strange = [
        replace(trial, parameters={**trial.parameters, "idle": 7.0, "kind": "c"})
        for trial in whole.trials
    ]
    found = importances(replace(whole, trials=strange), SPACE)
    assert found.trials == 60
    assert dict(found.shares)["idle"] == dict(found.shares)["kind"] == 0
    assert found.shares[0][0] == "matters"


def test_optuna_does_not_speak_to_the_user(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importances(view(FEWEST_TRIALS), SPACE)
    assert capsys.readouterr() == ("", "")
