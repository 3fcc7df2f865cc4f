import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
for place in ("slurm_lab", "pbs_replay"):
    sys.path.insert(0, str(TESTS / place))

from far_search import Site  # noqa: E402
from lab_fixtures import plain_slurm  # noqa: E402, F401
from loopback_sshd import LoopbackSshd, need_sshd  # noqa: E402
from pbs_lab import RealPbs, ReplayedPbs  # noqa: E402


@pytest.fixture(scope="module", params=["slurm", "pbs-replay", "pbs"])
def site(request, tmp_path_factory):
    """A login node: sshd with the commands of a batch system behind it."""
    if request.param == "pbs" and not RealPbs.is_there():
        pytest.skip(RealPbs.how)
    if request.param == "slurm":
        yield request.getfixturevalue("slurm_site")
        return
    replayed = request.param == "pbs-replay"
    pbs = ReplayedPbs(tmp_path_factory.mktemp("replay")) if replayed else RealPbs()
    yield from _site(tmp_path_factory, "pbs", pbs.environment)


@pytest.fixture(scope="module")
def slurm_site(plain_slurm, tmp_path_factory):  # noqa: F811
    """A login node before a real Slurm."""
    yield from _site(tmp_path_factory, "slurm", plain_slurm.environment)


def _site(factory, batch, environment):
    need_sshd()
    server = LoopbackSshd(factory.mktemp("site"), environment=environment)
    server.start()
    yield Site(server, batch)
    server.close()
