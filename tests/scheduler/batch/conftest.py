import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
for place in ("slurm_lab", "pbs_replay", "sshd"):
    sys.path.insert(0, str(TESTS / place))

from lab_fixtures import accounting_slurm, plain_slurm  # noqa: E402, F401
from sites import Sites  # noqa: E402


@pytest.fixture(scope="session")
def sites(request, tmp_path_factory):
    """Batch systems by their names, each started once, with an sshd before it where one is asked for."""
    made = Sites(request, tmp_path_factory)
    yield made
    made.close()
