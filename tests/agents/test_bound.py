"""The bound of `--dry-run`: what a search can cost at most, and what retries may add."""

import pytest

from agents.commands.bound import cost_text
from agents.config import load


def cost(directory, cluster, *sets):
    path = directory / "config.yaml"
    path.write_text(
        "experiment: {id: bounded}\n"
        "search_space:\n"
        "  x: {type: categorical, choices: [1, 2]}\n"
        "  y: {type: categorical, choices: [a, b]}\n"
        'training: {command: ["true", "{job_dir}"]}\n'
        f"cluster: {{batch_system: {{kind: pbs}}, resources: {{walltime: 1h}}, {cluster}}}\n"
    )
    return cost_text(load(path, [*(sets or ["loop.max_trials=1"])]).settings)


OVERRIDES = {
    "none": ("[]", "1 node each", "1.00 node-hours"),
    "nodes": ("[{when: {x: 1}, nodes: 4}]", "at most 4 nodes each", "4.00 node-hours"),
    "both": ("[{when: {x: 1}, nodes: 4, walltime: 2h}]", "at most 4 nodes", "8.00 node-hours"),
    "less": ("[{when: {x: 1}, walltime: 10m}]", "1 node each", "1.00 node-hours"),
    "apart": (
        "[{when: {x: 1}, nodes: 4}, {when: {x: 2}, walltime: 3h}]",
        "at most 4 nodes each", "4.00 node-hours",
    ),
    "together": (
        "[{when: {x: [1, 2]}, nodes: 4}, {when: {x: 2, y: a}, walltime: 3h}]",
        "at most 4 nodes each", "12.00 node-hours",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERRIDES)
def test_the_bound_holds_whatever_overrides_apply(tmp_path, case):
    overrides, nodes, hours = OVERRIDES[case]
    text = cost(tmp_path, f"overrides: {overrides}")
    assert nodes in text
    assert f" {hours} in all, without retries" in text


RETRIES = {
    "none": ("{node_failure: 0, preempted: 0, lost: 0, walltime: {times: 0}}", None),
    "as they are": ("{node_failure: 1, preempted: 2, lost: 0, walltime: {times: 0}}", 3.0),
    "longer": ("{node_failure: 1, preempted: 0, lost: 0, walltime: {times: 2, factor: 2}}", 10.0),
    "up to": (
        "{node_failure: 1, preempted: 0, lost: 0, walltime: {times: 9, factor: 2, maximum: 3h}}",
        2.0 + 3.0 + 3.0,
    ),
}


@pytest.mark.parametrize("case", RETRIES)
def test_what_retries_may_add_is_said(tmp_path, case):
    retry, hours = RETRIES[case]
    text = cost(tmp_path, f"retry: {retry}")
    assert "1.00 node-hours in all, without retries" in text
    if hours is None:
        assert "may add" not in text
    else:
        assert f"may add up to {hours:.2f}: " in text


def test_where_overrides_keep_trials_apart_no_sharing_is_counted(tmp_path):
    cluster = "pack: {trials: 2}, overrides: [{when: {x: 1}, queue: long}]"
    loop = ("loop.max_iterations=3", "loop.jobs_per_iteration=5")
    assert "15.00 node-hours" in cost(tmp_path, cluster, *loop)
