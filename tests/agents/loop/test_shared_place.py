"""Two runs of one name whose jobs would lie in one directory on the cluster."""

import os
from pathlib import Path

from quick_search import run, write_quick_search

ROOT = Path(__file__).parents[3]


def test_a_second_person_is_not_given_the_results_of_the_first(tmp_path):
    for person in ("ann", "bob"):
        (tmp_path / person).mkdir()
    far = ["--set", f"cluster.remote_base={tmp_path}/far"]
    own = ', run_pattern: "{experiment}"'
    first = run("--config", write_quick_search(tmp_path / "ann", own), *far)
    assert first.returncode == 0, first.stderr
    config = write_quick_search(tmp_path / "bob", own)
    second = run("--config", config, *far)
    assert second.returncode == 1, second.stdout
    assert f"belongs to another run, {os.uname().nodename}:{tmp_path}/ann/" in second.stderr
    assert "completed" not in second.stdout
    again = run("--config", config, *far, "--new")  # bob's next run is called small_2
    assert again.returncode == 0, again.stderr
