"""What a trial's job asks for follows from its hyperparameters; a container is passed on."""

from agents.config.model import Settings
from agents.jobs import job_request, new_job
from agents.trial import Trial, TrialState


def request(parameters):
    settings = Settings.model_validate(
        {
            "experiment": {"id": "small"},
            "search_space": {"model": {"type": "categorical", "choices": ["small", "large"]}},
            "training": {"command": ["{python}", "train.py"]},
            "cluster": {
                "resources": {"memory": "4G"},
                "overrides": [{"when": {"model": "large"}, "memory": "32G"}],
                "container": {"image": "torch.sif", "gpu": "nvidia"},
            },
        }
    )
    trial = Trial(0, 1, TrialState.RUNNING, parameters, "sampler", 1)
    trial = Trial(**{**trial.__dict__, "job": new_job(trial, settings, "token")})
    return job_request(trial, settings, "/runs")


def test_large_models_get_more_memory():
    assert request({"model": "small"}).resources.memory_mb == 4096
    assert request({"model": "large"}).resources.memory_mb == 32768


def test_the_container_reaches_the_job():
    container = request({"model": "small"}).script.container
    assert (container.runtime, container.image, container.gpu) == (
        "apptainer", "torch.sif", "nvidia",
    )  # fmt: skip
