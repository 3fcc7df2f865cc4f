import pytest
from slurm_lab import ACCOUNTING_PROGRAMS, SlurmLab, missing_programs


@pytest.fixture(scope="session")
def plain_slurm():
    """A Slurm without accounting."""
    yield from _lab(accounting=False)


@pytest.fixture(scope="session")
def accounting_slurm():
    """A Slurm with slurmdbd and MariaDB."""
    missing = missing_programs(*ACCOUNTING_PROGRAMS)
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (a system package)")
    yield from _lab(accounting=True)


def _lab(accounting):
    lab = SlurmLab(accounting=accounting)
    try:
        yield lab.start()
    finally:
        lab.stop()


def commands_on_path(lab, monkeypatch):
    """This Slurm for one test, which begins with commands that reach it and leaves no jobs behind."""
    for key, value in lab.environment.items():
        monkeypatch.setenv(key, value)
    yield lab
    lab.clear()
