"""clean: only old runs go, never one in use, never what is no run; and only after a yes."""

import json
import os
import pty
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from doctor_bench import ROOT, run

from agents.cleaning import disk_usage, locked, old_runs

OLD = 40 * 86400
CONFIG = """\
experiment: {{id: old, seed: 1}}
search_space: {{x: {{type: float, low: 0, high: 1}}}}
loop: {{max_iterations: 1, jobs_per_iteration: 2}}
proposer: {{kind: sampler}}
training:
  command: ["{python}", -S, -c, "{program}", "{{hyperparameters}}"]
cluster:
  poll: {{floor: 0.05s}}
  retry: {{preempted: 0, node_failure: 0, lost: 0}}
  {cluster}
directories: {{local_base: "{base}"}}
"""
PROGRAM = (
    "import json, os, sys; os.chdir(os.path.dirname(sys.argv[1])); "
    "x = json.load(open('hyperparameters.json'))['hyperparameters']['x']; "
    "open('results.json', 'w').write(json.dumps({'schema': 1, 'status': 'completed', "
    "'metrics': {'accuracy_auc': x}}))"
)


def write_config(directory, base, program=PROGRAM, cluster=""):
    path = directory / "config.yaml"
    text = CONFIG.format(python=sys.executable, program=program, base=base, cluster=cluster)
    path.write_text(text)
    return path


def age(directory, seconds=OLD):
    """Let the last sign of life of a run be so long ago."""
    then = time.time() - seconds
    for name in ("run.json", "summary.json", "progress.json"):
        if (directory / name).exists():
            os.utime(directory / name, (then, then))
    return directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that came to its end, to be copied."""
    place = tmp_path_factory.mktemp("finished")
    done = run("--config", write_config(place, place / "results"))
    assert done.returncode == 0, done.stderr
    (directory,) = (place / "results").iterdir()
    return directory


@pytest.fixture
def base(tmp_path, finished):
    """Below it an old run, a new one, a file and a directory that are none."""
    base = tmp_path / "a base with spaces, ümläuts"
    for name in ("old run", "new"):
        shutil.copytree(finished, base / name, symlinks=True)
    age(base / "old run")
    age(base / "new", 60)
    (base / "data").mkdir()
    (base / "data" / "precious").write_text("x")
    (base / "notes.txt").write_text("x")
    return base


def names(base):
    return sorted(path.name for path in base.iterdir())


ALL = ["data", "new", "notes.txt", "old run"]


def test_nobody_to_ask_means_nothing_is_deleted(base):
    done = run("clean", base)
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "delete old run: finished, 40 d 0 h ago" in done.stdout
    assert "keep   new" in done.stdout
    assert names(base) == ALL


def test_a_dry_run_shows_what_would_go_and_how_large_it_is(base):
    (base / "old run" / "checkpoints" / "big").write_bytes(b"x" * 3 * 1024 * 1024)
    done = run("clean", base, "--dry-run", "--json")
    assert done.returncode == 0
    rows = {Path(row["directory"]).name: row for row in json.loads(done.stdout)}
    assert rows.keys() == {"old run", "new"}
    assert rows["old run"]["action"] == "would be deleted"
    assert 3 * 1024**2 <= rows["old run"]["bytes"] <= 6 * 1024**2
    assert (rows["new"]["action"], rows["new"]["why"]) == ("kept", "it is not old enough")
    assert names(base) == ALL


def test_yes_deletes_old_runs_and_nothing_else(base):
    done = run("clean", base, "--yes")
    assert done.returncode == 0, done.stderr
    assert "deleted: 1 run" in done.stdout
    assert names(base) == ["data", "new", "notes.txt"]
    assert (base / "data" / "precious").exists()
    assert "nothing to delete" in run("clean", base, "--yes").stdout


def test_links_out_of_a_run_are_not_followed(base, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (base / "old run" / "logs" / "link").symlink_to(outside)
    (base / "old run" / "link").symlink_to(outside)
    (base / "linked run").symlink_to(base / "new")
    done = run("clean", base, "--yes", "--older-than", "0s")
    assert done.returncode == 0
    assert (outside / "precious").exists()
    assert names(base) == ["data", "linked run", "notes.txt"]
    assert "it is a link" in done.stdout


@pytest.mark.parametrize(
    ("direction", "values", "kept"),
    [("maximize", (0.9, 0.5), "one"), ("minimize", (0.9, 0.5), "two")],
)
def test_the_best_are_kept(tmp_path, finished, direction, values, kept):
    for name, value in zip(("one", "two"), values, strict=True):
        directory = tmp_path / name
        shutil.copytree(finished, directory)
        summary = json.loads((directory / "summary.json").read_text())
        summary["direction"], summary["best"]["value"] = direction, value
        (directory / "summary.json").write_text(json.dumps(summary))
        age(directory)
    assert run("clean", tmp_path, "--yes", "--keep-best", "1").returncode == 0
    assert names(tmp_path) == [kept]


def test_one_of_unknown_direction_is_kept_with_the_best(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    del summary["direction"]
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "run" / "progress.json").unlink()
    age(tmp_path / "run")
    assert run("clean", tmp_path, "--yes", "--keep-best", "1").returncode == 0
    assert names(tmp_path) == ["run"]


def test_a_run_of_another_version_is_left_alone(base):
    card = json.loads((base / "old run" / "run.json").read_text())
    (base / "old run" / "run.json").write_text(json.dumps({**card, "schema": 2}))
    age(base / "old run")
    done = run("clean", base, "--yes")
    assert "another version" in done.stdout
    assert names(base) == ALL


@pytest.mark.parametrize("named", [True, False])
def test_the_run_of_somebody_else_is_kept_in_a_base_that_all_may_write(base, monkeypatch, named):
    mine = os.geteuid()
    owner = pwd.getpwuid(mine).pw_name if named else f"user {mine}"
    monkeypatch.setattr("os.geteuid", lambda: mine + 1)
    if not named:  # a number that this machine knows nobody by
        monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    found = old_runs(base, 86400.0, 0, time.time())
    assert {run.name: run.kept for run in found}["old run"] == f"it belongs to {owner}"


def test_a_card_that_is_broken_is_no_run(base):
    (base / "old run" / "run.json").write_text("{")
    age(base / "old run")
    assert run("clean", base, "--yes").returncode == 0
    assert names(base) == ALL


def test_an_unfinished_run_with_a_broken_ledger_is_left_alone(base):
    (base / "old run" / "summary.json").unlink()
    (base / "old run" / "study.db").write_bytes(b"no database" * 1000)
    age(base / "old run")
    done = run("clean", base, "--yes")
    assert "keep   old run" in done.stdout
    assert "not known" in done.stdout
    assert names(base) == ALL


def test_a_finished_run_with_a_broken_ledger_may_go(base):
    (base / "old run" / "study.db").write_bytes(b"no database" * 1000)
    age(base / "old run")
    assert run("clean", base, "--yes").returncode == 0
    assert "old run" not in names(base)


def test_running_runs_and_jobs_without_an_orchestrator_are_safe(tmp_path):
    base = tmp_path / "results"
    config = write_config(tmp_path, base, program="import time; time.sleep(600)")
    command = [sys.executable, "-m", "agents.run", "--config", str(config)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        # Of both jobs, and written: they are ended by it.
        until(lambda: len([p for p in base.glob("*/job_*/lock/pid") if p.read_text().strip()]) == 2)
        (directory,) = base.iterdir()
        age(directory)
        done = run("clean", base, "--yes", "--older-than", "0s")
        assert "it is running" in done.stdout
        process.send_signal(signal.SIGKILL)
        process.wait()
        age(directory)
        done = run("clean", base, "--yes", "--older-than", "0s")
        assert done.returncode == 0
        assert "jobs may still run (trial 0: job" in done.stdout
        assert (directory / "study.db").exists()
    finally:
        process.kill()
        process.wait()
        for lock in base.glob("*/job_*/lock/pid"):
            os.kill(int(lock.read_text()), signal.SIGTERM)


def until(what, seconds=180):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.05)


def test_a_run_that_somebody_takes_up_after_the_question_is_kept(base):
    (found,) = [one for one in old_runs(base, 86400.0, 0, time.time()) if not one.kept]
    holder = found.workspace.lock()
    with ExitStack() as stack:
        result = locked([found], stack)
    holder.release()
    assert (result.held, [one.kept for one in result.lost]) == ([], ["it is running"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no such directory"),
        (["{run}"], "is a run itself"),
        (["{base}", "--older-than", "long"], "--older-than long"),
        (["{base}", "--json"], "--yes or --dry-run"),
        (["{base}", "--keep-best", "-1"], "keep-best"),
    ],
)
def test_bad_input_is_one_clear_message(base, arguments, words):
    given = [text.format(base=base, run=base / "new") for text in arguments]
    done = run("clean", *given, COLUMNS="200")
    assert done.returncode == 2
    assert words in done.stderr
    assert names(base) == ALL


def test_a_base_without_runs_is_said(tmp_path):
    done = run("clean", tmp_path)
    assert (done.returncode, done.stdout.split(" below")[0]) == (0, "no runs")


# -- a person -----------------------------------------------------------------------------------


def answered(base, answer, columns=100, **environment):
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.environ.update({"TERM": "xterm-256color", "COLUMNS": str(columns), **environment})
        os.execv(sys.executable, [sys.executable, "-m", "agents.run", "clean", str(base)])
    screen, left = b"", [answer]
    while True:
        try:
            screen += os.read(terminal, 4096)
        except OSError:
            break
        if left and b"[yes/no]?" in screen:
            os.write(terminal, f"{left.pop()}\n".encode())
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), screen.decode()


def test_a_person_is_asked_and_may_say_no(base):
    code, screen = answered(base, "no")
    assert code == 0
    assert "Delete 1 run (" in screen
    assert "nothing was deleted" in screen
    assert names(base) == ALL
    code, screen = answered(base, "yes")
    assert code == 0
    assert names(base) == ["data", "new", "notes.txt"]


def test_forty_columns_without_colours(base):
    code, screen = answered(base, "no", columns=40, NO_COLOR="1")
    assert code == 0
    assert "\x1b[31m" not in screen
    assert "\x1b[1;31m" not in screen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen).replace("\r", "")
    shown = [line for line in plain.splitlines() if "[yes/no]" not in line]
    assert max(map(len, shown)) <= 40


# -- the cluster's side ---------------------------------------------------------------------------


@pytest.fixture
def there(tmp_path):
    """A run whose jobs ran in a base of the cluster, beside staged code and another's directory."""
    far = tmp_path / "far BASE DO away"
    config = write_config(tmp_path, tmp_path / "results", cluster=f'remote_base: "{far}"')
    assert run("--config", config).returncode == 0
    (directory,) = (tmp_path / "results").iterdir()
    (far / "code" / "pieces").mkdir(parents=True)
    (far / "somebody").mkdir()
    age(directory)
    return far, directory


def test_the_clusters_side_stays_unless_it_is_asked_for(there):
    far, directory = there
    assert run("clean", directory.parent, "--yes").returncode == 0
    assert not directory.exists()
    assert names(far) == [*sorted([directory.name, "code", "somebody"])]


def test_the_clusters_side_goes_with_its_run_and_nothing_else(there):
    far, directory = there
    rows = json.loads(run("clean", directory.parent, "--remote", "--dry-run", "--json").stdout)
    assert rows[0]["remote_bytes"] > 0
    done = run("clean", directory.parent, "--remote", "--yes")
    assert done.returncode == 0, done.stderr
    assert names(far) == ["code", "somebody"]
    assert not directory.exists()


def test_what_is_not_recognized_there_is_left_and_so_is_the_run_here(there):
    far, directory = there
    renamed = directory.rename(directory.with_name("code"))
    card = json.loads((renamed / "run.json").read_text())
    (renamed / "run.json").write_text(json.dumps({**card, "name": "code"}))
    age(renamed)
    done = run("clean", renamed.parent, "--remote", "--yes")
    assert done.returncode == 1
    assert "not recognized as its own" in done.stderr
    assert renamed.exists()
    assert (far / "code" / "pieces").exists()
    assert (far / directory.name).exists()


@pytest.mark.parametrize("name", ["renamed since", "code"])
def test_of_a_run_that_was_renamed_here_the_directory_there_is_known(there, name):
    far, directory = there
    renamed = directory.rename(directory.with_name(name))
    done = run("clean", renamed.parent, "--remote", "--yes")
    assert done.returncode == 0, done.stderr
    assert names(far) == ["code", "somebody"]
    assert not renamed.exists()


def backup_of(directory):
    """As `cp -a` makes one: with the original's card."""
    return shutil.copytree(directory, directory.with_name("backup"), symlinks=True)


def test_what_a_copy_has_there_too_stays_while_the_original_runs(there):
    far, directory = there
    age(backup_of(directory))
    age(directory, 60)
    done = run("clean", directory.parent, "--remote", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"what is there stays: {directory.name} has the same directory there" in done.stdout
    assert not directory.with_name("backup").exists()
    assert directory.exists()
    assert list((far / directory.name).glob("job_*"))


@pytest.mark.parametrize("card", ["the original's", "broken"])
def test_of_two_copies_the_one_that_stays_may_be_named_otherwise(there, card):
    far, directory = there
    backup = backup_of(directory)
    if card == "broken":
        (directory / "run.json").write_text("{")
        directory, backup = backup, directory
    age(directory)
    age(backup, 60)
    done = run("clean", directory.parent, "--remote", "--yes", "--json")
    (why,) = [row["why"] for row in json.loads(done.stdout) if row["action"] == "deleted"]
    assert f"{backup.name} has the same directory there" in why
    assert (backup.exists(), directory.exists()) == (True, False)
    assert (far / min(directory.name, backup.name)).exists()


def test_copies_that_go_together_take_what_is_there_with_them(there):
    far, directory = there
    age(backup_of(directory))
    done = run("clean", directory.parent, "--remote", "--yes")
    assert done.returncode == 0, done.stderr
    assert names(directory.parent) == []
    assert names(far) == ["code", "somebody"]


def test_disk_usage_counts_what_is_on_the_disk(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "link").symlink_to("/usr")
    assert 100_000 <= disk_usage(tmp_path) < 200_000
