import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "sshd"))

from globus_server import GlobusServer  # noqa: E402


@pytest.fixture
def globus(monkeypatch, tmp_path):
    """A login service on loopback, and a home for logins."""
    with GlobusServer() as server:
        monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", server.url)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        yield server
