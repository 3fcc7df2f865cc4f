"""The command line as a person meets it: one clear message, the right exit code, no traceback."""

import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
import typer

from agents import run
from agents.verbs.panels import PANELS

ROOT = Path(__file__).parent.parent.parent
GOOD = """\
experiment: {id: cli}
search_space:
  x: {type: float, low: 0, high: 1}
training: {command: ["true"]}
"""


def pilothouse(*arguments, cwd, **environment):
    return forked.command(arguments, environment={**os.environ, **environment}, directory=cwd)


def refused(done, code=2):
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("- 1\n", "mapping"),
        ("experiment: {id: x\n", "bad.yaml:"),
        (GOOD.replace("search_space", "serach_space"), "did you mean search_space"),
        (GOOD + "loop: {max_iteration: 3}\n", "did you mean max_iterations"),
        (GOOD + "loop: {max_iterations: many}\n", "bad.yaml:5"),
        (GOOD.replace("low: 0, high: 1", "low: 2, high: 1"), "low (2) must be less than high (1)"),
        (GOOD + "constraints: ['x > 2']\n", "contradict"),
        (GOOD + "constraints: ['__import__(\"os\")']\n", "__import__"),
        (GOOD + "initial_trials: [{x: 7}]\n", "7 is not between 0 and 1"),
        (GOOD + "llm: {model: '${NO_SUCH_VARIABLE}'}\n", "NO_SUCH_VARIABLE is not set"),
        (GOOD.replace('"true"', '"{pyton}"'), "pyton"),
        (GOOD + "proposer: {sampler: {kind: grid}}\n", "grid"),
        (GOOD + "directories: {local_base: /proc/nowhere}\n", "directories.local_base"),
        (GOOD + "directories: {local_base: /dev/null}\n", "directories.local_base"),
        (GOOD + "cluster: {transport: {kind: ssh, host: h}}\n", "cluster.remote_base"),
        (GOOD + "cluster: {template: nowhere.j2}\n", "nowhere.j2"),
    ],
)
def test_a_bad_configuration_is_one_clear_message(tmp_path, text, words):
    (tmp_path / "bad.yaml").write_text(text)
    assert words in refused(pilothouse("--config", "bad.yaml", cwd=tmp_path))
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "."], "directory"),
        (["--resume", "nowhere"], "no such directory"),
        (["--resume", "."], "no run.json"),
        (["--resume", "latest"], "--config"),
        (["--dry-run"], "--config"),
        (["--config", "good.yaml", "--resume", "latest", "--dry-run"], "leave --resume out"),
        (["--config", "good.yaml", "--resume", "latest"], "no unfinished run of cli"),
        (["--config", "good.yaml", "--set", "loop"], "KEY=VALUE"),
        (["--config", "good.yaml", "--set", "loop.max_iter=3"], "max_iter"),
        (["--config", "good.yaml", "--max-iterations", "0"], "max-iterations"),
        (["--config", "good.yaml", "--log-level", "loud"], "loud"),
        (["connect", "--config", "good.yaml"], "cluster.transport.kind is local"),
        (["status", "."], "not a run directory"),
        (["list", "nowhere"], "nowhere: there is no such directory"),
        (["no-such-verb"], "no-such-verb"),
    ],
)
def test_bad_arguments_are_one_clear_message(tmp_path, arguments, words):
    (tmp_path / "good.yaml").write_text(GOOD)
    assert words in refused(pilothouse(*arguments, cwd=tmp_path, COLUMNS="200"))


def test_bytes_that_are_no_text_are_one_clear_message(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refused(pilothouse("--config", "bad.yaml", cwd=tmp_path))


def test_it_tells_its_version(tmp_path):
    done = pilothouse("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"pilothouse \d+\.\d+\.\d+\n", done.stdout)


def test_help_names_every_verb_and_shows_an_example(tmp_path):
    done = pilothouse("--help", cwd=tmp_path)
    assert done.returncode == 0
    for verb in ("connect", "disconnect", "render", "status", "list", "graph", "config"):
        assert verb in done.stdout
    assert "Example: python -m agents.run --config" in done.stdout


def test_help_shows_every_verb_in_a_panel():
    verbs = [verb for panel in PANELS.values() for verb in panel]
    known = {*typer.main.get_group(run.app).commands}
    assert len(verbs) == len(known)
    assert {*verbs} == known


def test_help_puts_what_one_needs_first_under_headings(tmp_path):
    shown = pilothouse("--help", cwd=tmp_path, COLUMNS="100").stdout
    places = [shown.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    verbs = [f"│ {verb} " for panel in PANELS.values() for verb in panel]
    assert [shown.index(verb) for verb in verbs] == sorted(shown.index(verb) for verb in verbs)


def test_help_loads_nothing_heavy(tmp_path):
    code = (
        "import sys, agents.run, typer; typer.main.get_group(agents.run.app); heavy = "
        "['optuna', 'numpy', 'langgraph', 'langchain_core', 'pydantic', 'paramiko', 'yaml', 'jinja2'];"
        "print([name for name in heavy if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_the_graph_is_drawn_from_the_compiled_machine(tmp_path):
    text = pilothouse("graph", cwd=tmp_path).stdout
    for edge in (
        "propose --> submit;",
        "submit --> wait;",
        "wait --> collect;",
        "report --> decide;",
    ):
        assert edge in text
    assert "decide -.-> propose;" in text
    assert "decide -.-> finish;" in text


def test_a_dry_run_shows_proposals_job_and_cost_and_starts_nothing(tmp_path):
    done = pilothouse("--config", ROOT / "config.example.yaml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "trial 0 (user",
        "trial 1 (default",
        "-m training.train",
        '"learning_rate": 0.001',
        "at most 10 trials (5 iterations of 2), 1 node each",
        "0.83 node-hours",
    ):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the package openssh-client")
def test_a_script_learns_whether_there_is_a_connection(tmp_path):
    far = "cluster: {transport: {kind: ssh, host: nowhere.invalid}, remote_base: /x}\n"
    (tmp_path / "far.yaml").write_text(GOOD.replace('"true"', '"true", "{hyperparameters}"') + far)
    done = pilothouse("connection", "--config", "far.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert (found["open"], found["state"], found["process"]) == (False, "absent", None)
    assert "nowhere.invalid" in found["to"]
    assert "no master for" in pilothouse("connection", "--config", "far.yaml", cwd=tmp_path).stdout


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the package openssh-client")
def test_connect_says_that_nobody_knows_the_machine(tmp_path):
    far = "cluster: {transport: {kind: ssh, host: nowhere.invalid}, remote_base: /x}\n"
    (tmp_path / "far.yaml").write_text(GOOD.replace('"true"', '"true", "{hyperparameters}"') + far)
    done = pilothouse("connect", "--config", "far.yaml", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "cluster.transport.host nowhere.invalid: no machine of that name is found" in line
    assert "check its spelling" in line


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_a_terminal_lacks_end_no_command(tmp_path, encoding):
    (tmp_path / "config.yaml").write_text(GOOD.replace("id: cli", "id: cli, description: →"))
    words = ("config", "show", "config.yaml")
    done = pilothouse(*words, cwd=tmp_path, PYTHONIOENCODING=encoding, LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "id: cli" in done.stdout


def test_run_is_a_verb_too(tmp_path):
    words = ("--config", ROOT / "config.example.yaml", "--dry-run")
    named = pilothouse("run", *words, cwd=tmp_path)
    assert named.returncode == 0, named.stderr
    assert named.stdout == pilothouse(*words, cwd=tmp_path).stdout


def test_a_dry_run_counts_what_the_command_line_bounds(tmp_path):
    more = ("--max-iterations", "3", "--dry-run")
    done = pilothouse("--config", ROOT / "config.example.yaml", *more, cwd=tmp_path)
    assert "at most 6 trials (3 iterations of 2)" in done.stdout


def test_a_job_is_shown_with_its_staged_code(tmp_path):
    (tmp_path / "train.py").write_text("")
    staged = 'stage: [train.py], command: ["{code}/train.py", "{job_dir}"]'
    (tmp_path / "staged.yaml").write_text(GOOD.replace('command: ["true"]', staged))
    shown = pilothouse("render", "--config", "staged.yaml", cwd=tmp_path).stdout
    code = f"{tmp_path}/results/code/SNAPSHOT"
    assert f"  {code}/train.py " in shown
    assert f"  command cd {code} || " in shown


def test_the_schema_is_json_and_describes_the_example(tmp_path):
    schema = json.loads(pilothouse("config", "schema", cwd=tmp_path).stdout)
    assert {"experiment", "search_space", "training", "cluster"} <= schema["properties"].keys()


def test_a_resolved_configuration_is_the_same_configuration(tmp_path):
    shown = pilothouse("config", "show", ROOT / "config.example.yaml", cwd=tmp_path).stdout
    (tmp_path / "again.yaml").write_text(shown)
    assert pilothouse("config", "show", "again.yaml", cwd=tmp_path).stdout == shown


def in_a_terminal(arguments, answers, cwd):
    """Run on a terminal of its own, typing `answers` as their questions show; screen, exit code."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(cwd)
        os.environ.update({"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"})
        os.execv(sys.executable, [sys.executable, "-m", "agents.run", *map(str, arguments)])
    screen, left = b"", list(answers)
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux says EIO once the terminal is closed on the other side.
            break
        screen += piece
        if left and left[0][0].encode() in screen:
            os.write(terminal, left.pop(0)[1].encode())
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return screen.decode(errors="replace"), os.waitstatus_to_exitcode(status)


QUICK = (
    GOOD.replace('["true"]', '[sh, -c, "exit 3"]')
    + "loop: {max_iterations: 1}\ncluster: {poll: {floor: 0.1s}}\nproposer: {kind: sampler}\n"
)


def test_where_no_program_came_to_run_the_end_names_the_doctor(tmp_path):
    (tmp_path / "quick.yaml").write_text(QUICK)
    ran = pilothouse("--config", "quick.yaml", cwd=tmp_path)
    assert "no trial has completed" in ran.stdout
    assert "doctor" not in ran.stdout, "it looks at the cluster, not into a program"
    setup = ("--set", "cluster.setup=['. /nowhere/activate']", "--set", "experiment.id=never")
    never = pilothouse("--config", "quick.yaml", *setup, cwd=tmp_path)
    (advice,) = [line for line in never.stdout.splitlines() if "what to change: " in line]
    told = pilothouse(
        *shlex.split(advice)[shlex.split(advice).index("agents.run") + 1 :], cwd=tmp_path
    )
    assert "/nowhere/activate" in told.stdout


def test_on_a_terminal_an_unfinished_run_is_offered(tmp_path):
    (tmp_path / "quick.yaml").write_text(QUICK)
    first = pilothouse("--config", "quick.yaml", cwd=tmp_path)
    assert first.returncode == 1, first.stderr  # no trial has completed
    (run,) = (tmp_path / "results").iterdir()
    (run / "summary.json").unlink()
    question = "Go on with it [r]"
    screen, code = in_a_terminal(["--config", "quick.yaml"], [(question, "q\n")], tmp_path)
    assert (question in screen, code) == (True, 0)
    screen, code = in_a_terminal(["--config", "quick.yaml"], [(question, "r\n")], tmp_path)
    assert code == 1
    assert (run / "summary.json").exists()
    assert len(list((tmp_path / "results").iterdir())) == 1
    (run / "summary.json").unlink()
    screen, code = in_a_terminal(["--config", "quick.yaml"], [(question, "n\n")], tmp_path)
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_status_and_list_tell_where_runs_stand(tmp_path):
    (tmp_path / "quick.yaml").write_text(QUICK)
    pilothouse("--config", "quick.yaml", cwd=tmp_path)
    (run,) = (tmp_path / "results").iterdir()
    assert "finished" in pilothouse("status", run, cwd=tmp_path).stdout
    (state,) = json.loads(pilothouse("list", "--json", cwd=tmp_path).stdout)
    assert (state["state"], state["trials"]["failed"]) == ("finished", 2)
    (run / "summary.json").unlink()
    shown = pilothouse("status", run, cwd=tmp_path).stdout
    assert f"resume {run}" in shown


@pytest.mark.parametrize(("answer", "left"), [("l", True), ("c", False)])
def test_control_c_asks_what_becomes_of_the_running_jobs(tmp_path, answer, left):
    slow = QUICK.replace("exit 3", "sleep 600").replace(
        "max_iterations: 1", "jobs_per_iteration: 1"
    )
    (tmp_path / "slow.yaml").write_text(slow)
    answers = [("  running", "\x03"), ("leave it running [l]", f"{answer}\n")]
    screen, code = in_a_terminal(["--config", "slow.yaml"], answers, tmp_path)
    assert code == 130
    assert "--resume" in screen
    (lock,) = tmp_path.glob("results/*/job_*/lock/pid")
    script = int(lock.read_text())
    if left:
        os.kill(script, 0)
        os.kill(script, signal.SIGTERM)
    else:
        assert "1 job cancelled" in screen
    wait_for_end(script)


def wait_for_end(process, seconds=180):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"{process} goes on")


@pytest.mark.parametrize("show", [("render",), ("--dry-run",)])
def test_what_is_shown_of_a_job_holds_references_in_place_of_secrets(tmp_path, show):
    config = tmp_path / "config.yaml"
    config.write_text(
        "experiment: {id: kept}\n"
        "search_space: {x: {type: float, low: 0, high: 1}}\n"
        'training: {command: ["true", "{hyperparameters}", "--token=${HF_TOKEN}"]}\n'
        "cluster:\n"
        "  environment: {WANDB_API_KEY: '${WANDB_API_KEY}', MODE: '${MODE}'}\n"
        "  setup: ['export A=${HF_TOKEN} B=${MODE}', 'echo $${X} ${MODE}']\n"
        "  batch_system: {kind: slurm}\n"
        "  resources: {account: '${HF_TOKEN}', directives: {comment: 'a ${HF_TOKEN}'}}\n"
        "  container: {image: 'docker://u:${HF_TOKEN}@host/i', before: ['login ${HF_TOKEN}']}\n"
        "  pack: {trials: 2, launch: [srun, '--x=${HF_TOKEN}']}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "agents.run", *show, "--config", str(config)],
        env={**os.environ, "WANDB_API_KEY": "k-4711", "HF_TOKEN": "k-4711-too", "MODE": "offline"},
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "export WANDB_API_KEY='${WANDB_API_KEY}'" in done.stdout
    assert "export MODE=offline" in done.stdout
    assert "export A=${HF_TOKEN} B=${MODE}" in done.stdout
    assert "--token=${HF_TOKEN}" in done.stdout
    assert "echo ${X} offline" in done.stdout
    assert "$${X}" not in done.stdout
    assert "k-4711" not in done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["auto", "llm", "hybrid"])
@pytest.mark.parametrize("show", [("render",), ("--dry-run",)])
def test_what_is_only_shown_needs_no_key_and_asks_no_endpoint(tmp_path, show, kind):
    with socket.create_server(("127.0.0.1", 0)) as endpoint:
        endpoint.setblocking(False)
        url = f"http://127.0.0.1:{endpoint.getsockname()[1]}/v1"
        (tmp_path / "config.yaml").write_text(
            f"{GOOD}llm: {{base_url: '{url}', model: m1, api_key_env: NOKEY}}\n"
            f"proposer: {{kind: {kind}}}\n"
        )
        done = pilothouse(*show, "--config", "config.yaml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        with pytest.raises(BlockingIOError):
            endpoint.accept()
    assert "Its job, " in done.stdout
    assert ("m1 is not asked" in done.stdout) == (show == ("--dry-run",))


def test_the_cost_comes_first_and_again_after_the_long_job(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    shown = pilothouse("--config", "good.yaml", "--dry-run", cwd=tmp_path).stdout.splitlines()
    assert shown[2] == shown[-2] == "The cost: at most 20 trials (10 iterations of 2), 1 node each"
