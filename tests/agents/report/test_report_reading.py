import json
import os
import re
import shutil
import stat
from datetime import timedelta

import pytest
import yaml
from report_runs import CONFIG, make_run

from agents.errors import ConfigurationError
from agents.report import write_html
from agents.report.reading import read_run
from agents.report.salvage import rebuild
from agents.trial import TrialState


def brief(trial):
    return (trial.number, trial.state, trial.origin, trial.value, trial.iteration)


def files(directory):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "a rün with spaces" / made.name)


def test_a_finished_run_reads_as_it_ended_and_nothing_in_it_changes(run):
    before = files(run)
    reading = read_run(run)
    assert files(run) == before
    assert [trial.number for trial in reading.view.trials] == list(range(24))
    assert reading.view.best.value > 0.5
    assert reading.facts.stop_reason.startswith("8 iterations without")
    assert reading.facts.elapsed_seconds == pytest.approx(11520)
    assert reading.salvaged is None and reading.said == []


def test_of_the_command_it_shows_what_the_configuration_does(run, monkeypatch):
    config = run / "config.yaml"
    document = yaml.safe_load(config.read_text())
    document["experiment"]["description"] = "with $${X} and ${HF_TOKEN}"
    document["training"]["command"] = ["train", "--token=${HF_TOKEN}", "$${", "{job_dir}"]
    (run.parent / "k-4711").mkdir()
    document["training"]["directory"] = f"{run.parent}/${{HF_TOKEN}}"
    config.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("HF_TOKEN", "k-4711")
    facts = read_run(run).facts
    assert "k-4711" not in repr(facts)
    assert facts.command == ("train", "--token=${HF_TOKEN}", "${", "{job_dir}")
    assert facts.working_directory == f"{run.parent}/${{HF_TOKEN}}"
    write_html(read_run(run).view, facts, run / "reports")
    assert "k-4711" not in (run / "reports" / "report.html").read_text()


def test_it_reads_in_a_directory_that_nobody_may_write(run):
    for path in (run, run / "study.db"):
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        assert len(read_run(run).view.trials) == 24
    finally:
        run.chmod(0o700)


def test_a_renamed_run_is_read_all_the_same(run):
    reading = read_run(run.rename(run.parent / "renamed = ? #1 %41"))
    assert reading.salvaged is None
    assert len(reading.view.trials) == 24


def test_a_finished_run_that_goes_on_is_not_at_its_end(run):
    ended = read_run(run).facts.updated_at
    for seconds, goes_on in ((1, False), (60, True)):
        sign = {"updated_at": (ended + timedelta(seconds=seconds)).isoformat()}
        (run / "progress.json").write_text(json.dumps(sign))
        facts = read_run(run).facts
        assert (facts.stop_reason is None) == goes_on
        assert (facts.updated_at > ended) == goes_on


def test_a_run_that_has_just_begun_is_empty(run):
    for name in ("study.db", "summary.json", "logs/run.jsonl"):
        (run / name).unlink()
    reading = read_run(run)
    assert reading.view.trials == []
    assert reading.facts.stop_reason is None


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_what_is_no_run_is_named(tmp_path, make):
    make(tmp_path / "there")
    with pytest.raises(ConfigurationError, match="not a run directory"):
        read_run(tmp_path / "there")


def test_a_configuration_of_another_version_is_read_in_part(run):
    with (run / "config.yaml").open("a") as stream:
        stream.write("a_key_of_tomorrow: {x: 1}\n")
    reading = read_run(run)
    assert "a_key_of_tomorrow" in reading.said[0]
    assert len(reading.view.trials) == 24
    assert next(iter(reading.facts.parameters)) == "learning_rate"


def test_a_configuration_whose_secrets_are_not_here_is_read_in_part(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_TOKEN", "hunter2")
    run = make_run(
        tmp_path, 4, config=CONFIG + 'cluster: {environment: {DATA_TOKEN: "${DATA_TOKEN}"}}\n'
    )
    monkeypatch.delenv("DATA_TOKEN")
    reading = read_run(run)
    assert "DATA_TOKEN" in reading.said[0]
    assert len(reading.view.trials) == 4
    assert "hunter2" not in reading.facts.configuration


def test_a_configuration_that_is_beyond_reading_is_refused(run):
    (run / "config.yaml").write_text("search_space: 3")
    with pytest.raises(ConfigurationError, match=r"config\.yaml"):
        read_run(run)


def test_a_write_that_a_crash_cut_off_is_undone_in_a_copy(run):
    """A hot journal: SQLite must roll back first, which a reader may not do in place."""
    import sqlite3

    pid = os.fork()
    if pid == 0:
        connection = sqlite3.connect(run / "study.db", isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE trial_user_attributes SET value_json = value_json || '   '")
        connection.execute("DELETE FROM trials")
        os._exit(0)
    os.waitpid(pid, 0)
    assert (run / "study.db-journal").stat().st_size > 0
    before = files(run)
    reading = read_run(run)
    assert reading.salvaged is None
    assert len(reading.view.trials) == 24
    assert files(run) == before


def test_a_reader_waits_while_the_run_writes(run):
    import sqlite3
    import threading

    writer = sqlite3.connect(run / "study.db", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.7, lambda: writer.execute("COMMIT"))
    release.start()
    reading = read_run(run)
    release.join()
    writer.close()
    assert reading.salvaged is None
    assert len(reading.view.trials) == 24


def torn(run):
    """A page in the middle of the ledger is lost."""
    data = bytearray((run / "study.db").read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    (run / "study.db").write_bytes(data)


@pytest.mark.parametrize("breaks", [torn, lambda run: (run / "study.db").unlink(),
                                    lambda run: (run / "study.db").write_bytes(b"")])  # fmt: skip
def test_a_broken_ledger_is_made_up_for_from_reports_and_directories(run, breaks):
    whole = read_run(run).view
    breaks(run)
    saved = read_run(run)
    assert "cannot be read" in saved.salvaged.reason
    assert [brief(t) for t in saved.view.trials] == [brief(t) for t in whole.trials]
    assert saved.view.best.parameters == whole.best.parameters
    assert saved.salvaged.missing == []


def test_what_was_saved_is_a_ledger_with_which_the_search_goes_on(run):
    whole = read_run(run).view
    torn(run)
    broken = (run / "study.db").read_bytes()
    saved = read_run(run)
    path = rebuild(saved.salvaged, saved.workspace, saved.settings)
    assert (run / "study.db").read_bytes() == broken
    shutil.copy(path, run / "study.db")
    again = read_run(run)
    assert again.salvaged is None
    assert [brief(t) for t in again.view.trials] == [brief(t) for t in whole.trials]
    assert [t.parameters for t in again.view.trials] == [t.parameters for t in whole.trials]
    assert [t.job.name for t in again.view.trials] == [t.job.name for t in whole.trials]
    assert [t.curve for t in again.view.trials] == [t.curve for t in whole.trials]
    assert [t.attempts for t in again.view.trials[:20]] == [t.attempts for t in whole.trials[:20]]
    assert any(trial.attempts for trial in again.view.trials)


def test_the_log_and_directories_do_where_reports_are_gone_too(run):
    whole = read_run(run).view
    torn(run)
    for report in run.glob("reports/iteration_*.json"):
        report.unlink()
    (run / "reports" / "iteration_001.json").write_text('{"trials": [{"trial": 1')
    saved = read_run(run)
    assert [(t.number, t.state, t.origin) for t in saved.view.trials] == [
        (t.number, t.state, t.origin) for t in whole.trials
    ]
    assert saved.view.best.number == whole.best.number
    (run / "logs" / "run.jsonl").unlink()
    directories_only = read_run(run).view
    assert len(directories_only.completed) == len(whole.completed)


def test_of_several_attempts_the_last_counts(run):
    first = next(run.glob("job_*_trial_0004"))
    shutil.copytree(first, again := first.with_name(f"{first.name}_attempt_3"))
    task = json.loads((again / "hyperparameters.json").read_text())
    task["job"] = re.sub(r"\.\d+$", ".3", task["job"])
    (again / "hyperparameters.json").write_text(json.dumps(task))
    for report in run.glob("reports/iteration_*.json"):
        report.unlink()
    torn(run)
    (trial,) = [t for t in read_run(run).view.trials if t.number == 4]
    assert (trial.job.attempt, trial.job.directory) == (3, again.name)


def test_a_trial_of_which_nothing_is_left_keeps_its_place(run):
    torn(run)
    shutil.rmtree(run / "reports")
    lines = [json.loads(line) for line in (run / "logs" / "run.jsonl").read_text().splitlines()]
    kept = [json.dumps(line) for line in lines if line.get("trial") != 5]
    (run / "logs" / "run.jsonl").write_text("\n".join(kept) + "\nhalf a li")
    shutil.rmtree(next(run.glob("job_*_trial_0005")))
    saved = read_run(run)
    assert saved.salvaged.missing == [5]
    assert [trial.number for trial in saved.view.trials] == list(range(24))
    assert saved.view.trials[5].state is TrialState.FAILED
    rebuild(saved.salvaged, saved.workspace, saved.settings)


def test_a_ledger_elsewhere_that_cannot_be_reached_is_an_error(tmp_path):
    from agents.errors import LedgerError

    run = make_run(tmp_path, 2, config=CONFIG)
    text = (run / "config.yaml").read_text()
    assert "storage: null" in text
    (run / "config.yaml").write_text(
        text.replace("storage: null", f"storage: sqlite:///{tmp_path}/no/x.db")
    )
    with pytest.raises(LedgerError, match="cannot be read"):
        read_run(run)
