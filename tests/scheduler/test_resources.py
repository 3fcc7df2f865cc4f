import pytest

from scheduler.job import Resources
from scheduler.resources import resources_for, warning
from scheduler.settings import ClusterSettings


def cluster(**values):
    return ClusterSettings.model_validate(values)


def test_defaults_alone():
    settings = cluster(resources={"memory": "4G", "walltime": "30m", "cpus": 2})
    assert resources_for(settings, {}) == Resources(cpus=2, memory_mb=4096, walltime_seconds=1800)


def test_hyperparameters_change_what_is_asked_for():
    settings = cluster(
        resources={"memory": "4G", "nodes": 4, "directives": {"qos": "normal", "exclude": "n1"}},
        overrides=[
            {"when": {"model": "resnet50"}, "memory": "32G", "gpu_type": "a100", "nodes": 1},
            {
                "when": {"model": ["resnet50", "vit"], "batch": 512},
                "directives": {"qos": "large", "exclusive": None},
            },
        ],
    )
    assert resources_for(settings, {"model": "lenet"}).memory_mb == 4096
    changed = resources_for(settings, {"model": "resnet50", "batch": 128})
    assert (changed.memory_mb, changed.gpu_type, changed.nodes) == (32768, "a100", 1)
    assert changed.directives == {"qos": "normal", "exclude": "n1"}
    both = resources_for(settings, {"model": "resnet50", "batch": 512})
    assert both.memory_mb == 32768
    assert both.directives == {"qos": "large", "exclude": "n1", "exclusive": None}


def test_the_last_override_wins():
    settings = cluster(
        overrides=[{"when": {"a": 1}, "cpus": 2}, {"when": {"a": [1, 2]}, "cpus": 4}]
    )
    assert resources_for(settings, {"a": 1}).cpus == 4


def test_true_is_not_one():
    settings = cluster(overrides=[{"when": {"augment": True}, "cpus": 8}])
    assert resources_for(settings, {"augment": 1}).cpus is None
    assert resources_for(settings, {"augment": True}).cpus == 8


def test_a_hyperparameter_that_is_not_there_matches_nothing():
    settings = cluster(overrides=[{"when": {"depth": 3}, "cpus": 8}])
    assert resources_for(settings, {"width": 3}).cpus is None


@pytest.mark.parametrize(
    ("walltime", "asked", "seconds"),
    [
        (None, None, 0),
        (599, None, 0),
        (600, None, 120),
        (3600, 0, 0),
        (3600, 300, 300),
        (60, 50, 30),
    ],
)
def test_the_warning_before_the_walltime(walltime, asked, seconds):
    assert warning(Resources(walltime_seconds=walltime, warn_seconds=asked)) == seconds


def test_a_warning_as_it_is_written_in_the_configuration():
    settings = cluster(resources={"walltime": "1h", "warn_before": "5m"})
    assert resources_for(settings, {}).warn_seconds == 300
    assert cluster(resources={"warn_before": 0}).resources.warn_before == 0
