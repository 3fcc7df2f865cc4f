"""The doctor finds each broken part, says what to do, ends in time, and leaves nothing behind."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
from doctor_bench import ROOT, doctor, left, outcomes, run, write_config

from agents.commands.doctor import exit_code
from agents.config import load
from agents.doctor.check import failed, ok, skipped, warning
from agents.doctor.rehearsal import _not_started
from scheduler.sentinel import Sentinel


def test_where_all_is_well_it_says_so_and_leaves_nothing(tmp_path):
    config = write_config(tmp_path / "BASE TRY DO 'NEAR', ümläuts $HOME")
    code, found = doctor(config)
    assert code == 0
    assert set(outcomes(found).values()) <= {"ok", "skipped"}, found
    assert found["training command"]["seen"].endswith("train.py")
    assert left(config.parent) == ["config.yaml", "train.py"]


def test_a_configuration_that_is_bad_has_an_exit_code_of_its_own(tmp_path):
    config = write_config(tmp_path, extra="loop: {max_iteration: 3}")
    code, found = doctor(config)
    assert code == 2
    assert "did you mean max_iterations" in found["configuration"]["seen"]
    assert run("doctor", "--config", tmp_path / "none.yaml").returncode == 2
    assert run("doctor").returncode == 2


COMMAND = 'training: {{command: ["{python}", {rest}], directory: "{directory}"}}'


@pytest.mark.parametrize(
    ("python", "rest", "name", "seen", "remedy"),
    [
        (
            "{python}",
            "nowhere.py, '{{job_dir}}'",
            "training command",
            "there is no nowhere.py",
            "stage",
        ),
        (
            "{python}",
            "-m, no.such, '{{job_dir}}'",
            "training command",
            "no module no.such",
            "stage",
        ),
        (
            "no-such-program",
            "'{{job_dir}}'",
            "training command",
            "no-such-program is",
            "whole path",
        ),
        ("{python}", "broken.py, '{{job_dir}}'", "training command", "SyntaxError", "mend"),
    ],
)
def test_a_program_that_is_not_there(tmp_path, python, rest, name, seen, remedy):
    (tmp_path / "broken.py").write_text("def f(:\n")
    training = COMMAND.format(python=python, rest=rest.format(), directory=tmp_path)
    code, found = doctor(write_config(tmp_path, training=training))
    assert (code, found[name]["outcome"]) == (1, "failed"), found
    assert seen in found[name]["seen"]
    assert remedy in found[name]["remedy"]


def test_a_python_that_does_not_start(tmp_path):
    (tmp_path / "python3").write_text("#!/bin/sh\necho no libpython >&2\nexit 127\n")
    (tmp_path / "python3").chmod(0o755)
    code, found = doctor(write_config(tmp_path), "--set", f"cluster.python={tmp_path}/python3", "--set",
                         'training.command=["{python}", train.py, "{job_dir}"]')  # fmt: skip
    assert (code, found["remote Python"]["outcome"]) == (1, "failed")
    assert "no libpython" in found["remote Python"]["seen"]
    assert "cluster.python" in found["remote Python"]["remedy"]


@pytest.mark.parametrize(
    ("cluster", "seen", "remedy"),
    [
        ("modules: [no/such/module]", "module", "cluster.modules"),
        ("setup: ['echo cannot find it >&2; exit 3']", "before the command", "cluster.setup"),
        ("setup: ['. /nowhere/activate']", "/nowhere/activate", "cluster.setup"),
    ],
)
def test_what_comes_before_the_command_in_a_job(tmp_path, cluster, seen, remedy):
    code, found = doctor(write_config(tmp_path, cluster=f"cluster: {{{cluster}}}"))
    assert (code, found["training command"]["outcome"]) == (1, "failed")
    assert seen in found["training command"]["seen"]
    assert remedy in found["training command"]["remedy"]


def test_an_environment_that_a_shell_line_does_not_find_is_told_though_the_command_would_start(
    tmp_path,
):
    config = write_config(tmp_path, cluster="cluster: {setup: ['no_such_conda activate mine']}")
    code, found = doctor(config)
    assert (code, found["training command"]["outcome"]) == (0, "ok")
    assert found["shell lines"]["outcome"] == "warning"
    assert "no_such_conda" in found["shell lines"]["seen"]
    assert "cluster.setup" in found["shell lines"]["remedy"]
    config = write_config(tmp_path, cluster="cluster: {setup: ['echo Loading gcc >&2']}")
    assert "shell lines" not in doctor(config)[1]


def test_code_that_is_sent_is_looked_for_where_it_is_sent_from(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "there.py").write_text("")
    text = 'training: {{stage: [code], command: ["{{python}}", "{{code}}/code/{name}", "{{job_dir}}"]}}'
    code, found = doctor(write_config(tmp_path, training=text.format(name="there.py")))
    assert code == 0, found
    code, found = doctor(write_config(tmp_path, training=text.format(name="gone.py")))
    assert (code, found["training command"]["outcome"]) == (1, "failed")
    assert "training.stage" in found["training command"]["remedy"]


def test_code_that_is_sent_and_is_no_python_is_a_warning(tmp_path):
    (tmp_path / "code").mkdir()
    training = 'training: {stage: [code], command: ["{python}", code/train.py, "{job_dir}"]}'
    config = write_config(tmp_path, training=training)
    for text, outcome in (("x = 1\nif x:\nprint(x)\n", "warning"), ("x = 1\n", "ok")):
        (tmp_path / "code" / "train.py").write_text(text)
        code, found = doctor(config)
        assert (code, found["training command"]["outcome"]) == (0, outcome), found
    (tmp_path / "code" / "train.py").write_text("x = 1\nif x:\nprint(x)\n")
    seen = doctor(config)[1]["training command"]["seen"]
    assert "train.py, line 3: IndentationError: expected an indented block" in seen
    assert "to the Python here" in seen


@pytest.mark.parametrize("said", ["./script.0: 83: module: not found", "module: command not found"])
def test_a_shell_that_does_not_know_module_is_no_missing_module(tmp_path, said):
    config = write_config(tmp_path, cluster="cluster: {modules: [gcc/13, cuda/12]}")
    settings = load(config).settings
    check = _not_started(Sentinel(96, "module"), said, settings)
    assert "knows no command `module`" in check.seen
    assert ". …/init/sh" in check.remedy and "module load gcc/13 cuda/12" in check.remedy
    other = _not_started(Sentinel(96, "module"), "ModuleNotFound: gcc/13", settings)
    assert "`module avail`" in other.remedy


def test_a_directory_that_cannot_be_written(tmp_path):
    config = write_config(tmp_path, cluster="cluster: {remote_base: /proc/nowhere/runs}")
    code, found = doctor(config)
    assert (code, found["remote directory"]["outcome"]) == (1, "failed")
    assert "cluster.remote_base" in found["remote directory"]["remedy"]
    assert found["training command"]["outcome"] == "skipped"
    code, found = doctor(config, "--set", "directories.local_base=/dev/null/x")
    assert found["local disk"]["outcome"] == "failed"
    assert "directories.local_base" in found["local disk"]["remedy"]


def test_a_local_batch_system_without_its_programs(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in (
        "sh",
        "date",
        "id",
        "uname",
        "mkdir",
        "rm",
        "mv",
        "df",
        "awk",
        "cat",
        "head",
        "tail",
    ):
        (tools / name).symlink_to(
            f"/bin/{name}" if os.path.exists(f"/bin/{name}") else f"/usr/bin/{name}"
        )
    code, found = doctor(write_config(tmp_path), PATH=str(tools))
    assert (code, found["scheduler"]["outcome"]) == (1, "failed")
    assert "flock" in found["scheduler"]["seen"]
    assert "util-linux" in found["scheduler"]["remedy"]


def test_a_tiny_job_runs_where_jobs_run_and_leaves_nothing(tmp_path):
    config = write_config(tmp_path, cluster=f"cluster: {{remote_base: '{tmp_path}/new/base', "
                          "poll: {floor: 0.1s}}")  # fmt: skip
    code, found = doctor(config, "--job")
    assert (code, found["job"]["outcome"]) == (0, "ok"), found["job"]
    assert "was back after" in found["job"]["seen"]
    assert left(tmp_path) == ["config.yaml", "train.py"]


def test_a_tiny_job_that_takes_too_long_is_cancelled(tmp_path):
    # The rehearsal has no queue beside it.
    setup = f"[ ! -d ../queue ] || {{ echo $$ > {tmp_path}/pid; sleep 300 & wait; }}"
    cluster = f"cluster: {{setup: ['{setup}'], poll: {{floor: 0.1s}}}}"
    config = write_config(tmp_path, cluster=cluster)
    for job_limit in ("1s", "10s", "100s"):  # On a slow machine it does not even begin in a second.
        code, found = doctor(config, "--job", "--job-limit", job_limit)
        assert (code, found["job"]["outcome"]) == (0, "warning"), found["job"]
        assert "--job-limit" in found["job"]["remedy"]
        if (tmp_path / "pid").exists():
            break
    script = int((tmp_path / "pid").read_text())
    limit = time.monotonic() + 120
    while os.path.exists(f"/proc/{script}") and time.monotonic() < limit:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{script}")
    assert left(tmp_path) == ["config.yaml", "pid", "train.py"]


def test_asked_to_leave_it_cancels_its_job_and_removes_its_files(tmp_path):
    setup = f"[ ! -d ../queue ] || {{ echo $$ > {tmp_path}/pid; sleep 300 & wait; }}"
    config = write_config(
        tmp_path, cluster=f"cluster: {{setup: ['{setup}'], poll: {{floor: 0.1s}}}}"
    )
    command = [sys.executable, "-m", "agents.run", "doctor", "-c", str(config), "--job"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    limit = time.monotonic() + 120
    while not (tmp_path / "pid").exists() and time.monotonic() < limit:
        time.sleep(0.1)
    process.terminate()
    _, said = process.communicate(timeout=180)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in said
    assert left(tmp_path) == ["config.yaml", "pid", "train.py"]


def test_outcomes_decide_on_the_exit_code():
    assert exit_code([ok("a", ""), skipped("b", ""), warning("c", "", "do")]) == 0
    assert exit_code([ok("a", ""), failed("b", "", "do"), warning("c", "", "do")]) == 1


def test_every_failure_has_a_remedy(tmp_path):
    config = write_config(tmp_path, cluster="cluster: {remote_base: /proc/x, modules: [a/b]}")
    _, found = doctor(config, "--set", "directories.local_base=/dev/null/x")
    bad = [row for row in found.values() if row["outcome"] in ("failed", "warning")]
    assert len(bad) >= 2
    assert all(row["remedy"] for row in bad)


# -- what a person sees --------------------------------------------------------------------------


def on_a_terminal(config, columns, **environment):
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.environ.update({"TERM": "xterm-256color", "COLUMNS": str(columns), **environment})
        command = [sys.executable, "-m", "agents.run", "doctor", "--config", str(config)]
        os.execv(sys.executable, command)
    screen = b""
    while True:
        try:
            screen += os.read(terminal, 4096)
        except OSError:
            break
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), screen.decode()


COLOUR = "\x1b[32m"


def shown(screen):
    """What stays on the screen: the lines of the report, without what was redrawn."""
    report = screen[screen.rindex("configuration") :] if "configuration" in screen else screen
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", report).replace("\r", "")


def test_a_terminal_gets_a_table_in_colours(tmp_path):
    code, screen = on_a_terminal(write_config(tmp_path), 100)
    assert code == 0
    assert COLOUR in screen
    assert "seen, and what to do" in screen
    assert max(map(len, shown(screen).splitlines())) <= 100


def test_no_color_is_respected(tmp_path):
    _, screen = on_a_terminal(write_config(tmp_path), 100, NO_COLOR="1")
    assert COLOUR not in screen
    assert "all well" in screen


def test_forty_columns_get_lines(tmp_path):
    config = write_config(tmp_path, cluster="cluster: {remote_base: /proc/nowhere}")
    code, screen = on_a_terminal(config, 40)
    assert code == 1
    lines = shown(screen).splitlines()
    assert max(map(len, lines)) <= 40
    assert any(line.startswith("ok      connection: ") for line in lines)
    assert any(line.strip().startswith("->") for line in lines)


def test_a_pipe_gets_whole_lines_without_colours(tmp_path):
    done = run("doctor", "--config", write_config(tmp_path), COLUMNS="40")
    assert "\x1b" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "configuration:" in line]
    assert line.endswith("valid")


def test_help_shows_an_example():
    text = run("doctor", "--help").stdout
    assert "Example: python -m agents.run doctor --config" in text
    assert "Exit codes" in text


def test_json_is_a_list_of_checks(tmp_path):
    rows = json.loads(run("doctor", "--config", write_config(tmp_path), "--json").stdout)
    assert all(set(row) == {"name", "outcome", "seen", "remedy"} for row in rows)


def test_gpus_that_all_jobs_would_share_by_chance(tmp_path):
    """A program takes the first GPU that it sees."""
    tools = tmp_path / "tools"
    tools.mkdir()
    listed = "".join(f"echo 'GPU {n}: NVIDIA A100 (UUID: GPU-{n})'\n" for n in range(4))
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\n{listed}")
    (tools / "nvidia-smi").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    code, found = doctor(write_config(tmp_path), PATH=path)
    assert (code, found["scheduler"]["outcome"]) == (0, "warning")
    assert "each sees all of the 4 GPUs" in found["scheduler"]["seen"]
    pinned = "cluster: {batch_system: {kind: local, slots: 4, pin: CUDA_VISIBLE_DEVICES}}"
    code, found = doctor(write_config(tmp_path, cluster=pinned), PATH=path)
    assert (code, found["scheduler"]["outcome"]) == (0, "ok")
