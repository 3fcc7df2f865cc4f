"""What needs a system package is skipped where it is missing, but never in CI."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

# One thread for a test and all that it starts: the workers of the tests are as many as the cores,
# and threads of a small network that wait for a core of their own take eight times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test asserts on wall-clock time, hypothesis's neither.
# In CI the same examples are tried each time: what they find is found on a person's machine.
settings.register_profile(
    "pilothouse",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("pilothouse")

PROGRAMS = {
    "cluster": ("slurmctld", "slurmd", "sbatch", "munged", "sshd"),
    "browser": ("chromium",),
}
# A worker takes a file at a time: a long one that is begun last leaves the other worker idle. These are
# begun first, the longest (half a minute on two idle cores and more) before the others.
LONGEST = (
    "test_crashes.py",
    "test_search_over_ssh.py",
    "test_slurm_jobs.py",
    "test_batch_contract.py",
    "test_steering_crashes.py",
    "test_loop.py",
    "test_submit.py",
    "test_steering_search.py",
    "test_search_faults.py",
    "test_every_verb.py",
    "test_distributed.py",
    "test_resume.py",
    "test_newcomer.py",
    "test_slurm_inventory.py",
    "test_bell.py",
    "test_walks.py",
)
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"


def pytest_collection_modifyitems(items):
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))
    required = os.environ.get("PILOTHOUSE_REQUIRE", "").split(",")
    for marker, programs in PROGRAMS.items():
        missing = [name for name in programs if shutil.which(name, path=SEARCH) is None]
        if not missing:
            continue
        if marker in required:
            raise pytest.UsageError(f"{marker} tests must run here, but {missing} is missing")
        skip = pytest.mark.skip(reason=f"needs {', '.join(missing)} (a system package)")
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(skip)
