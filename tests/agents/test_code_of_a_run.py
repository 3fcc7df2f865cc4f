"""The snapshot of the training code when a run goes on: what a purge took comes back."""

from pathlib import Path

import pytest

from agents.code import staged_code
from scheduler.batch.local import LocalBatch
from scheduler.cluster import Cluster
from scheduler.settings import LocalBatchSettings
from scheduler.transports.local import LocalTransport


class Attributes:
    """As much of a ledger as the code needs."""

    def __init__(self):
        self.kept = {}

    def attributes(self):
        return self.kept

    def set_attribute(self, name, value):
        self.kept[name] = value


class Quiet:
    def event(self, *_, **__):
        pass


@pytest.fixture
def again(tmp_path):
    """Where the snapshot lies, each time that a process of the run asks."""
    cluster = Cluster(
        LocalTransport(), LocalBatch(LocalBatchSettings()), str(tmp_path / "far"), "run"
    )
    ledger = Attributes()
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("first")
    return lambda said=lambda text: None: Path(
        staged_code([code], ledger, cluster, lambda action: action(), Quiet(), said)
    )


def test_a_run_that_goes_on_puts_back_what_was_purged(again):
    lost = again() / "code" / "train.py"
    lost.unlink()
    assert again() / "code" / "train.py" == lost
    assert lost.read_text() == "first"


def test_a_run_that_goes_on_keeps_the_code_it_began_with(again, tmp_path):
    first = again()
    (tmp_path / "code" / "train.py").write_text("changed since")
    assert again() == first
    assert (first / "code" / "train.py").read_text() == "first"


def test_whoever_mended_the_code_meanwhile_is_told_that_the_run_does_not_take_it(again, tmp_path):
    told = []
    again(told.append)
    again(told.append)
    assert [text.split()[0] for text in told] == ["code:"]
    (tmp_path / "code" / "train.py").write_text("mended")
    again(told.append)
    assert "code has changed" in told[-1] and "--new" in told[-1]
