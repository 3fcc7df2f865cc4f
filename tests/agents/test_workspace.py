import json
import multiprocessing
import os
import socket
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from quick_search import write_quick_search

from agents import run_lock
from agents.background import pid_file
from agents.commands.search import SearchOptions, choose
from agents.config.model import DirectorySettings
from agents.errors import ConfigurationError, RunLocked
from agents.interrupts import Interrupts
from agents.search import open_run
from agents.trial import Proposal
from agents.workspace import Workspace, create, existing, lay_out, runs, unfinished

NOW = datetime(2026, 11, 23, 14, 25, 30, tzinfo=UTC)


def make(base, experiment="digits"):
    return create(DirectorySettings(local_base=base), experiment, "a: 1\n", NOW)


def test_a_new_run_has_the_layout_and_its_configuration(tmp_path):
    run = make(tmp_path / "results")
    assert run.directory == tmp_path / "results" / "20261123_142530_digits"
    parts = {path.name for path in run.directory.iterdir()}
    assert {"config.yaml", "logs", "reports", "checkpoints", "tensorboard"} <= parts
    assert run.config_file.read_text() == "a: 1\n"
    assert (run.experiment, run.is_finished) == ("digits", False)


def test_two_runs_in_one_second_have_directories_of_their_own(tmp_path):
    assert make(tmp_path).directory != make(tmp_path).directory


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_base_that_cannot_be_written_is_named_with_its_key(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match=r"directories\.local_base.*Permission denied"):
        make(tmp_path / "results")


def test_a_base_that_is_a_file_is_named_with_its_key(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(ConfigurationError, match=r"directories\.local_base"):
        make(tmp_path / "results")


def test_unfinished_runs_of_an_experiment_are_found_the_newest_last(tmp_path):
    first, second, other = make(tmp_path), make(tmp_path), make(tmp_path, "other")
    done = make(tmp_path)
    done.summary_file.write_text("{}")
    (tmp_path / "not_a_run").mkdir()
    assert [run.directory for run in unfinished(tmp_path, "digits")] == [
        first.directory,
        second.directory,
    ]
    assert other.directory in [run.directory for run in runs(tmp_path)]
    assert unfinished(tmp_path / "nowhere", "digits") == []


def test_the_newest_is_told_by_the_moment_and_not_by_the_clock_on_the_wall(tmp_path):
    """The night in which summer time ends has the hour from two to three twice."""

    def made(name, moment):
        (tmp_path / name).mkdir()
        return lay_out(tmp_path / name, "digits", "a: 1\n", moment)

    summer, winter = (timezone(timedelta(hours=hours)) for hours in (2, 1))
    newer = made("a", datetime(2026, 10, 25, 2, 10, tzinfo=winter))
    older = made("b", datetime(2026, 10, 25, 2, 50, tzinfo=summer))
    odd = [made(f"odd_{place}", NOW) for place in range(4)]
    texts = (
        '{"created_at": "yesterday"}',
        '{"created_at": 7}',
        "[]",
        '{"created_at": "0001-01-01"}',
    )
    for run, text in zip(odd, texts, strict=True):
        (run.directory / "run.json").write_text(text)
    assert list(runs(tmp_path)) == [*odd, older, newer]


def test_what_is_no_run_cannot_be_resumed(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no run\.json"):
        existing(tmp_path)
    with pytest.raises(ConfigurationError, match="no such directory"):
        existing(tmp_path / "nowhere")


def _hold(directory, held, leave):
    lock = Workspace(Path(directory)).lock()
    held.set()
    leave.wait(300)
    lock.release()


def test_a_second_orchestrator_is_refused_with_the_firsts_host_and_pid(tmp_path):
    run = make(tmp_path)
    context = multiprocessing.get_context("spawn")
    held, leave = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(str(run.directory), held, leave))
    first.start()
    assert held.wait(180)
    with pytest.raises(RunLocked, match=f"process {first.pid} on {socket.gethostname()}"):
        run.lock()
    first.kill()
    first.join()
    run.lock().release()


def test_an_orchestrator_on_another_host_with_a_fresh_sign_of_life_is_respected(tmp_path):
    run = make(tmp_path)
    card = run.directory / "run.lock"
    card.write_text(json.dumps({"host": "crux-login-2", "pid": 77, "since": "x"}))
    run.progress_file.write_text("{}")
    with pytest.raises(RunLocked, match="process 77 on crux-login-2"):
        run.lock()
    os.utime(run.progress_file, (0, 0))
    run.lock().release()
    assert card.read_text() == ""


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_another_host_s_sign_of_life_is_not_held_against_our_clock(tmp_path, monkeypatch, ahead):
    """A living orchestrator would be taken for dead by a host whose clock is ahead."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + ahead

    monkeypatch.setattr(run_lock, "datetime", Skewed)
    monkeypatch.setattr(run_lock.time, "time", lambda: Skewed.now(UTC).timestamp())
    run = make(tmp_path)
    card = run.directory / "run.lock"
    card.write_text(json.dumps({"host": "crux-login-2", "pid": 77}))
    run.progress_file.write_text("{}")
    assert run.is_held
    with pytest.raises(RunLocked, match=r"was worked on \d+ s ago"):
        run.lock()
    left = run.progress_file.stat().st_mtime - 400
    os.utime(run.progress_file, (left, left))
    assert not run.is_held
    run.lock().release()


def taken_over(run):
    """The run, in the hands of a host that does not see our lock and took us for dead."""
    (run.directory / "run.lock").write_text(
        json.dumps({"host": "login-2", "pid": 77, "since": "x"})
    )


def test_who_was_taken_for_dead_leaves_the_run_to_its_successor(tmp_path):
    run = make(tmp_path)
    lock = run.lock()
    lock.check()
    taken_over(run)
    with pytest.raises(RunLocked, match="taken over by process 77 on login-2"):
        lock.check()
    lock.release()
    assert json.loads((run.directory / "run.lock").read_text())["pid"] == 77


def test_a_run_whose_successor_has_left_is_not_ours_again(tmp_path):
    run = make(tmp_path)
    lock = run.lock()
    (run.directory / "run.lock").write_text("")
    with pytest.raises(RunLocked, match="another one"):
        lock.check()


def test_a_ledger_takes_nothing_from_who_was_taken_for_dead(tmp_path):
    loaded, run = choose(SearchOptions(config=write_quick_search(tmp_path)))
    with Interrupts() as interrupts, open_run(loaded, run, interrupts) as opened:
        taken_over(run)
        for write in (
            lambda: opened.ledger.set_attribute("x", 1),
            lambda: opened.ledger.add(Proposal({"x": 0.5}, "user"), 1, 0),
            opened.ledger.refresh,
        ):
            with pytest.raises(RunLocked):
                write()
    assert "x" not in opened.ledger.attributes()


def test_the_number_of_a_successor_is_not_removed(tmp_path):
    file = tmp_path / "pid"
    with pid_file(file):
        file.write_text("77\n")
    assert file.read_text() == "77\n"
    with pid_file(file):
        pass
    assert not file.exists()


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "..", ".", "", 7, None])
def test_a_first_name_that_leads_elsewhere_is_not_believed(tmp_path, name):
    run = make(tmp_path)
    assert run.first_name == run.name
    card = json.loads((run.directory / "run.json").read_text())
    (run.directory / "run.json").write_text(json.dumps({**card, "name": name}))
    assert run.first_name == run.name
