"""What a trial's job asks for follows from its hyperparameters; a container is passed on."""

from agents.config.model import Settings
from agents.jobs import job_request, new_job
from agents.trial import Trial, TrialState
from scheduler.container import contained


def request(parameters, code=None, training=None):
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
    trial = Trial(**{**trial.__dict__, "job": new_job(trial, settings, "token")})
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
