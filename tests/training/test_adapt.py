"""The adapter between a foreign program and the contract, alone in a job's directory as it runs there."""

import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from agents.adapter import archive
from training.adapt.numbers import Reader
from training.adapt.options import wanted_of
from training.adapt.words import text_of, words_of
from training.contract import parse_metrics, parse_result

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "training" / "adapt").glob("*.py"))


def adapted(job, options, program, values=None, *, python=sys.executable, budget=None):
    """The command for a task with these values, in its job's directory."""
    job.mkdir(exist_ok=True)
    task = {"trial": 3, "job": "j", "seed": 5, "hyperparameters": values or {}}
    (job / "hyperparameters.json").write_text(json.dumps({**task, "budget": budget or {}}))
    (job / "adapt.pyz").write_bytes(archive())
    return [python, str(job / "adapt.pyz"), *options, "--", *program]


def run(job, options, program, values=None, **more):
    command = adapted(job, options, program, values, **more)
    done = subprocess.run(command, capture_output=True, text=True, cwd=job.parent)
    path = job / "results.json"
    return done, parse_result(path.read_bytes()) if path.exists() else None


def python(text):
    return [sys.executable, "-S", "-c", textwrap.dedent(text)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_needs_the_standard_library_and_python_3_6(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    outside = {name.split(".")[0] for name in names if not name.startswith("training.adapt.")}
    assert outside <= set(sys.stdlib_module_names)


def _older_pythons():
    found = [shutil.which(f"python3.{minor}") for minor in (6, 7, 8, 9)]

    def works(each):
        return each and subprocess.run([each, "-c", ""], capture_output=True).returncode == 0

    return [each for each in found if works(each)]


def test_the_oldest_python_there_is_runs_it(tmp_path):
    for place, old in enumerate(_older_pythons() or [sys.executable]):
        job = tmp_path / str(place)
        done, result = run(job, ["--metric", "x"], ["echo", "x={y}"], {"y": 2.5}, python=old)
        assert (done.returncode, result.metrics) == (0, {"x": 2.5}), done.stderr


@pytest.mark.parametrize(
    ("words", "values", "expected"),
    [
        (["--lr", "{lr}"], {"lr": 1e-05}, ["--lr", "1.0e-05"]),
        (["--lr={lr}"], {"lr": 1.5e-07}, ["--lr=1.5e-07"]),
        (["--lr", "{lr}"], {"lr": 1e22}, ["--lr", "1.0e+22"]),
        (["n={n}", "{n}"], {"n": 4}, ["n=4", "4"]),
        (["--m", "{m}", "x"], {}, ["x"]),
        (["--m={m}", "m={m}", "x"], {}, ["x"]),
        (["--m", "{m}", "x"], {"m": None}, ["x"]),
        (["m={m}"], {"m": None}, ["m=null"]),
        (["--f", "{f}", "x"], {"f": True}, ["--f", "x"]),
        (["--f", "{f}", "x"], {"f": False}, ["x"]),
        (["--f={f}"], {"f": True}, ["--f"]),
        (["--f={f}", "f={f}"], {"f": False}, ["f=false"]),
        (["--l", "{l...}"], {"l": "64 64"}, ["--l", "64", "64"]),
        (["--l", "{l}"], {"l": "a b; rm $(x) `y` '\""}, ["--l", "a b; rm $(x) `y` '\""]),
        (["${HOME}", "{}", "{1}"], {}, ["${HOME}", "{}", "{1}"]),
        (["{a}/{b}"], {"a": "{b}", "b": 1}, ["{b}/1"]),
    ],
)
def test_values_become_words(words, values, expected):
    assert words_of(words, values) == expected


def test_a_float_is_one_to_every_reader_of_yaml():
    yaml = pytest.importorskip("yaml")
    for value in (1e-05, 3e-10, 1e16, 0.1, 2.0):
        assert yaml.safe_load(text_of(value)) == value
    assert yaml.safe_load(repr(1e-05)) == "1e-05"  # why it is not repr


def epochs(text, *options):
    wanted, faults = wanted_of(options)
    assert faults == []
    reader = Reader(wanted, time.time())
    for line in text.splitlines():
        reader.line(line)
    reader.end()
    return [(each.step, each.values) for each in reader.epochs]


@pytest.mark.parametrize(
    "line",
    [
        "epoch 3 val_acc 0.71",
        "Epoch: 3 | Val_Acc: 0.71 (best 0.8)",
        "[epoch 3/10] val_acc=0.71, loss=1",
        '{"epoch": 3, "val_acc": 0.71}',
        "{'val_acc': np.float64(0.71), 'epoch': 3.0}",
        "epoch=3 train_val_acc=0.9 val_acc = tensor(0.71)",
        "\x1b[32mepoch\x1b[0m 3 val_acc 7.1e-1%",
        "epoch 3 val_acc 7.1D-01",
    ],
)
def test_a_name_is_followed_by_its_number(line):
    assert epochs(line, "--metric", "val_acc", "--step", "epoch") == [(3, {"val_acc": 0.71})]


def test_a_step_may_have_several_lines_and_what_comes_after_it_is_no_part_of_it():
    text = """\
        val_acc 0.01
        Epoch 1/2
        val_acc 0.5
        val_loss 1.0
        Epoch 2/2
        val_acc 0.6 val_loss 0.9
        best val_acc 0.99 val_loss 0.1
        best epoch 1 val_acc 0.98 val_loss 0.1
        """
    wanted = ("--metric", "val_acc", "--metric", "val_loss", "--step", "epoch")
    assert epochs(text, *wanted) == (
        [(1, {"val_acc": 0.5, "val_loss": 1.0}), (2, {"val_acc": 0.6, "val_loss": 0.9})]
    )


def test_without_a_step_they_are_counted_and_fractions_of_one_do_not_collide():
    assert epochs("a 1\na 2\n", "--metric", "a") == [(1, {"a": 1}), (2, {"a": 2})]
    halves = "epoch 0.5 a 1\nepoch 1.0 a 2\nepoch 1.5 a 3\n"
    assert [step for step, _ in epochs(halves, "--metric=a", "--step=epoch")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "needs --metric"),
        (["--metrics", "x"], "has no option --metrics; did you mean --metric?"),
        (["--metric"], "--metric needs a value"),
        (["--metric", "x=([0-9"], "the regular expression of x cannot be read"),
        (["--metric", r"x=a(\d)(\d)"], "has 2 groups"),
        (["--metric", "x=a"], "has 0 groups"),
        (["--metric", "="], "a name is empty"),
        (["--accuracy", "x", "--percent", "y"], "takes one accuracy"),
        (["--metric=x", "--step=a", "--step=b"], "takes one --step"),
    ],
)
def test_bad_options_are_named(options, said):
    assert said in "; ".join(wanted_of(options)[1])


@pytest.mark.parametrize(
    ("program", "options", "said"),
    [
        ("print('valid_acc 0.7')", ["--metric=val_acc"], "did you mean valid_acc?"),
        ("print('ERROR: no such mesh')", ["--metric=x"], "its last line: ERROR: no such mesh"),
        ("print('it 1 x 2')", ["--metric=x", "--step=epoch"], "epoch stands before no number"),
        ("print('x 1')", ["--metric=x", "--from=no.csv"], "no.csv (--from) is not there"),
        ("print('x 1')", ["--metric=x", "--from=old.csv"], "was there before the program"),
    ],
)
def test_numbers_that_are_not_there_are_no_result(tmp_path, program, options, said):
    (tmp_path / "old.csv").write_text("x\n1\n")
    done, result = run(tmp_path / "job", options, python(program))
    assert (done.returncode, result.status, result.error.type) == (
        2,
        "failed",
        "MetricNotFound",
    )
    assert said in result.error.message and said in done.stderr


def test_a_parameter_that_would_have_no_effect_is_refused_before_the_program_starts(tmp_path):
    _done, result = run(tmp_path / "job", ["--metric=x"], ["touch", "began"], {"lr": 0.1})
    assert "lr would have no effect" in result.error.message
    assert not (tmp_path / "began").exists()


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (python("import sys; print('x 1'); sys.exit(7)"), 7),
        (python("import os; print('x 1', flush=True); os.kill(os.getpid(), 9)"), 137),
        (["/no/such/program"], 127),
        (["/"], 126),
    ],
)
def test_a_program_that_fails_is_judged_by_its_exit_code(tmp_path, program, code):
    done, result = run(tmp_path / "job", ["--metric=x"], program)
    assert (done.returncode, result) == (code, None)


def test_what_it_prints_stays_where_it_belongs(tmp_path):
    text = "import sys; print('x 1'); print('warn: y', file=sys.stderr); sys.stdout.write('end')"
    done, _ = run(tmp_path / "job", ["--metric=x"], python(text))
    assert (done.stdout, done.stderr) == ("x 1\nend", "warn: y\n")


@pytest.fixture
def sessions():
    """Of processes that are killed after the test, with all that they started."""
    started = []
    yield started
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)


def waiting(tmp_path, sessions, on_term):
    text = f"""\
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: {on_term})
        print("epoch 1 x 0.5")
        while True: time.sleep(0.05)
        """
    job = tmp_path / "job"
    command = adapted(job, ["--metric=x", "--step=epoch"], python(text))
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open(tmp_path / "out", "wb") as out:
        started = subprocess.Popen(
            command, cwd=tmp_path, stdout=out, env=usual, start_new_session=True
        )
    sessions.append(started)
    lines, limit = job / "metrics.jsonl", time.monotonic() + 60
    while not lines.exists() or not lines.read_bytes().endswith(b"\n"):
        assert time.monotonic() < limit, "no line came while the program ran"
        time.sleep(0.05)
    return job, started


@pytest.mark.parametrize(("on_term", "code"), [("sys.exit(0)", 0), ("sys.exit(143)", 143)])
def test_a_signal_is_handed_on_and_leaves_a_result_that_does_not_count(
    tmp_path, sessions, on_term, code
):
    job, started = waiting(tmp_path, sessions, on_term)
    assert parse_metrics((job / "metrics.jsonl").read_bytes())[0][0].values == {"x": 0.5}
    started.send_signal(signal.SIGTERM)
    assert started.wait(120) == code
    result = parse_result((job / "results.json").read_bytes())
    assert (result.status, result.metrics) == ("preempted", {"x": 0.5})


def test_a_trial_that_is_to_end_ends_a_program_that_knows_no_file_stop(tmp_path, sessions):
    job, started = waiting(tmp_path, sessions, "sys.exit(3)")
    (job / "STOP").touch()
    assert started.wait(120) == 0
    assert parse_result((job / "results.json").read_bytes()).status == "pruned"


def test_something_that_it_left_running_holds_nobody_up(tmp_path):
    text = """\
        import subprocess, sys
        left = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"])
        print("x 1", left.pid)
        """
    job = tmp_path / "job"
    with open(tmp_path / "out", "wb") as out:
        command = adapted(job, ["--metric=x"], python(text))
        code = subprocess.run(command, stdout=out, stderr=out, cwd=tmp_path, timeout=120).returncode
    os.kill(int((tmp_path / "out").read_text().split()[2]), signal.SIGKILL)
    assert (code, parse_result((job / "results.json").read_bytes()).metrics) == (0, {"x": 1.0})
