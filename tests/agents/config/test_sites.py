"""The sites that come with Pilothouse can be begun from, and their jobs can be rendered."""

from importlib import resources
from pathlib import Path

import pytest

from agents.config import load
from agents.errors import ConfigurationError
from scheduler.batch import build_batch_system
from scheduler.resources import resources_for

SITES = sorted(path.stem for path in (Path(str(resources.files("jobs"))) / "sites").glob("*.yaml"))
SMALL = """
experiment: {id: small}
search_space: {lr: {type: float, low: 0.1, high: 1}}
training: {command: ["true"]}
"""
RUNS = "cluster: {remote_base: /runs}"


def load_site(tmp_path, name, more=RUNS):
    path = tmp_path / "config.yaml"
    path.write_text(f"extends: site:{name}\n{SMALL}{more}", encoding="utf-8")
    return load(path).settings


@pytest.mark.parametrize("name", SITES)
def test_a_site_is_a_configuration_and_gives_directives(tmp_path, name):
    settings = load_site(tmp_path, name)
    batch = build_batch_system(settings.cluster.batch_system)
    lines = batch.directives("job-1", resources_for(settings.cluster, {}))
    assert bool(lines) == (batch.name != "local")


@pytest.mark.parametrize("name", SITES)
def test_a_site_names_no_person(name):
    text = (Path(str(resources.files("jobs"))) / "sites" / f"{name}.yaml").read_text()
    for key in ("account:", "user:", "remote_base:"):
        assert key not in text.replace("To add: resources.account", "")
    assert (
        "Source: http" in text
        or name in ("local", "generic-slurm", "generic-pbs")
        or ("Source: guides" in text)
    )


def test_the_persons_own_file_is_laid_over_the_site(tmp_path):
    settings = load_site(
        tmp_path,
        "polaris",
        "cluster: {remote_base: /runs, resources: {account: proj, "
        "directives: {filesystems: grand}}}",
    )
    lines = build_batch_system(settings.cluster.batch_system).directives(
        "job-1", resources_for(settings.cluster, {})
    )
    assert lines == [
        "#PBS -r n", "#PBS -q preemptable", "#PBS -A proj", "#PBS -l select=1",
        "#PBS -l walltime=01:00:00", "#PBS -l place=scatter", "#PBS -l filesystems=grand",
    ]  # fmt: skip


def test_a_site_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no site 'nowhere'; there are .*polaris"):
        load_site(tmp_path, "nowhere")
    with pytest.raises(ConfigurationError, match="no site"):
        load_site(tmp_path, "../sites/polaris")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("pack: {trials: 40}, resources: {nodes: 10}", "cluster.pack.launch is missing"),
        (
            "pack: {trials: 41, per_node: 4, launch: [x]}, resources: {nodes: 10}",
            r"41, and 10 node\(s\) \(cluster.resources.nodes\) take 40 at 4 a node",
        ),
    ],
)
def test_trials_that_would_share_a_node_without_being_asked_to_are_refused(tmp_path, more, words):
    with pytest.raises(ConfigurationError, match=words):
        load_site(tmp_path, "polaris", f"cluster: {{remote_base: /runs, {more}}}")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("resources: {directives: {job-name: x}}", r"cluster\.resources: .*'job-name' is set by"),
        (
            "overrides: [{when: {lr: 0.5}, nodes: 2}, {when: {lr: [0.7, 1]}, gpu_type: a100}]",
            r"cluster\.overrides\[1\]: PBS has no common name",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_said_before_a_search(tmp_path, more, words):
    kind = "slurm" if "job-name" in more else "pbs"
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_site(tmp_path, f"generic-{kind}", f"cluster: {{{more}}}")
    assert len(caught.value.problems) == 1
