"""What a trial's job asks for follows from its hyperparameters; a container is passed on."""

from dataclasses import replace

from agents.config.model import Settings
from agents.jobs import EARLIER_VARIABLE, job_request, new_job
from agents.trial import PastAttempt, Trial, TrialState
from scheduler.container import contained
from scheduler.job import Cause, Failure


def request(parameters, code=None, training=None, failed=()):
    settings = Settings.model_validate(
        {
            "experiment": {"id": "small"},
            "search_space": {"model": {"type": "categorical", "choices": ["small", "large"]}},
            "training": {"command": ["{python}", "train.py"], **(training or {})},
            "cluster": {
                "resources": {"memory": "4G"},
                "overrides": [{"when": {"model": "large"}, "memory": "32G"}],
                "container": {"image": "torch.sif", "gpu": "nvidia"},
            },
        }
    )
    trial = Trial(0, 1, TrialState.RUNNING, parameters, "sampler", 1)
    past = [
        PastAttempt(new_job(trial, settings, "token", number), Failure(cause, "it failed"))
        for number, cause in enumerate(failed, start=1)
    ]
    job = new_job(trial, settings, "token", len(past) + 1)
    trial = replace(trial, job=job, attempts=tuple(past))
    return job_request(trial, settings, "/runs", code)


def test_large_models_get_more_memory():
    assert request({"model": "small"}).resources.memory_mb == 4096
    assert request({"model": "large"}).resources.memory_mb == 32768


def test_the_container_reaches_the_job():
    container = request({"model": "small"}).script.container
    assert (container.runtime, container.image, container.gpu) == (
        "apptainer", "torch.sif", "nvidia",
    )  # fmt: skip


def test_the_snapshot_of_the_code_is_there_in_the_container():
    asked = request({"model": "small"}, code="/base/code/abc", training={"directory": "/data"})
    assert asked.script.working_directory == "/data"
    words = contained(asked.script, "/runs/job")
    binds = [words[place + 1] for place, word in enumerate(words) if word == "--bind"]
    assert binds == ["/runs/job", "/data", "/base/code/abc"]
    asked = request({"model": "small"}, code="/base/code/abc")
    assert contained(asked.script, "/runs/job").count("/base/code/abc") == 2  # One bind, --pwd.


def test_a_further_attempt_knows_where_the_one_before_left_its_checkpoints():
    assert EARLIER_VARIABLE not in request({"model": "small"}).script.environment
    asked = request({"model": "small"}, failed=[Cause.PREEMPTED, Cause.NODE_FAILURE])
    assert asked.directory == "job_small_iter_001_trial_0000_attempt_3"
    earlier = "/runs/job_small_iter_001_trial_0000_attempt_2"
    assert asked.script.environment[EARLIER_VARIABLE] == earlier
    assert earlier in contained(asked.script, "/runs/job")
