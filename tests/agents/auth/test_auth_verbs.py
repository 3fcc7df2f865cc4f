"""``auth`` on a terminal, and a search behind a login."""

import json
import os
import sys
from pathlib import Path

import forked
import pytest
from behind_login import BehindLogin
from globus_server import CODE
from openai_server import MODEL, proposals, says
from terminal import converse

from agents.auth.identity import PRESETS
from agents.auth.store import TokenStore

ROOT = Path(__file__).parents[3]
PROGRAM = """\
import json, os, sys
os.chdir(os.path.dirname(sys.argv[1]))
result = {"schema": 1, "status": "completed", "metrics": {"accuracy_auc": 0.5}}
open("r", "w").write(json.dumps(result))
os.rename("r", "results.json")
"""


def auth(*arguments):
    return [sys.executable, "-m", "agents.run", "auth", *map(str, arguments), "--preset", "alcf"]


def run(command):
    return forked.command(command[3:])


@pytest.fixture
def logged_in(globus, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, screen = converse(auth("login"), {"type the code": CODE})
    assert code == 0, screen
    return screen


def test_a_person_logs_in_looks_and_logs_out(globus, logged_in):
    assert "https" not in logged_in.split("v2/oauth2/authorize")[0]  # the test's own service
    assert "logged in as ada@alcf.anl.gov" in logged_in
    shown = run(auth("status"))
    assert shown.returncode == 0
    assert "renewed by itself" in shown.stdout
    assert json.loads(run(auth("status", "--json")).stdout)["login"]["user"] == "ada@alcf.anl.gov"
    token = run(auth("token")).stdout.strip()
    assert token in globus.good
    for text in (logged_in, shown.stdout, shown.stderr):
        assert token not in text
        assert "refresh-1" not in text
    assert run(auth("logout")).stdout.strip() == "logged out"
    after = run(auth("status"))
    assert (after.returncode, "auth login --preset alcf" in after.stdout) == (1, True)


def test_without_a_person_it_says_so(globus):
    done = run(auth("login"))
    assert done.returncode == 2
    assert "needs a person" in done.stderr


@pytest.mark.parametrize(
    "words", [[], ["--preset", "nowhere"], ["--config", "x", "--preset", "alcf"]]
)
def test_bad_input_is_one_message(words):
    done = run([sys.executable, "-m", "agents.run", "auth", "status", *words])
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def write_config(directory, url):
    (directory / "program.py").write_text(PROGRAM)
    config = directory / "config.yaml"
    config.write_text(
        f"""\
experiment: {{id: behind}}
search_space: {{x: {{type: float, low: 0, high: 1}}}}
loop: {{max_iterations: 2, jobs_per_iteration: 1}}
proposer: {{kind: llm}}
llm: {{base_url: {url}, model: {MODEL}, globus: {{preset: alcf}}, max_retries: 0}}
training: {{command: ["{{python}}", -S, {directory}/program.py, "{{hyperparameters}}"]}}
cluster: {{poll: {{floor: 0.05s}}}}
directories: {{local_base: {directory}/results}}
"""
    )
    return config


def search(config):
    return run([sys.executable, "-m", "agents.run", "--config", str(config)])


def test_a_search_uses_the_login_and_renews_it(globus, logged_in, tmp_path):
    globus.good.clear()  # the service has withdrawn the first token, the file does not know
    with BehindLogin(globus, says(proposals({"x": 0.15})), says(proposals({"x": 0.92}))) as server:
        done = search(write_config(tmp_path, server.url))
    assert done.returncode == 0, done.stderr
    assert server.refused == 1
    assert globus.asked.count("refresh_token") == 1
    (report,) = tmp_path.glob("results/*/reports/report.html")
    assert "0.15" in report.read_text() or "0.92" in report.read_text()
    for path in (tmp_path / "results").rglob("*"):
        if path.is_file():
            assert b"access-secret" not in path.read_bytes()
            assert b"refresh-1" not in path.read_bytes()


def test_a_search_goes_on_without_the_llm_when_the_person_is_wanted(globus, logged_in, tmp_path):
    globus.good.clear()
    globus.forgotten = True
    with BehindLogin(globus, says(proposals({"x": 0.15}))) as server:
        done = search(write_config(tmp_path, server.url))
    assert done.returncode == 0, done.stderr
    assert "python -m agents.run auth login --preset alcf" in done.stdout


def test_a_search_that_nobody_logged_in_for_does_not_start(globus, tmp_path):
    done = search(write_config(tmp_path, "http://127.0.0.1:9/v1"))
    assert done.returncode == 2
    assert "nobody has logged in: python -m agents.run auth login --preset alcf" in done.stderr
    assert TokenStore(PRESETS["alcf"].client_id).load() is None
    assert os.environ["XDG_CONFIG_HOME"]


class Spoils(BehindLogin):
    """From the first answer on, others can read the file of the login."""

    def answer(self, headers, body):
        done = super().answer(headers, body)
        os.chmod(TokenStore(PRESETS["alcf"].client_id).path, 0o644)
        return done


def test_a_file_that_is_spoilt_meanwhile_does_not_end_a_search(globus, logged_in, tmp_path):
    config = write_config(tmp_path, "URL")
    with Spoils(globus, says(proposals({"x": 0.15})), says(proposals({"x": 0.92}))) as server:
        text = config.read_text().replace("URL", server.url)
        config.write_text(text.replace("max_iterations: 2", "max_iterations: 3"))
        done = search(config)
    assert done.returncode == 0, done.stderr
    assert "can be read by others" in done.stdout
    assert len(server.requests) == 1


def test_after_a_login_in_another_terminal_the_llm_is_asked_again(globus, logged_in, tmp_path):
    globus.good.clear()
    globus.forgotten = True
    config = write_config(tmp_path, "URL")
    away = {key: os.environ[key] for key in ("XDG_CONFIG_HOME", "GLOBUS_SDK_SERVICE_URL_AUTH")}
    # The job of the second trial is the other terminal: the first trial asks no LLM.
    (tmp_path / "program.py").write_text(
        f"""\
import json, os, subprocess, sys
given = json.load(open(sys.argv[1]))
if given["trial"] == 1:
    subprocess.run(
        {auth("login")!r}, input={CODE!r} + chr(10), text=True, cwd={str(ROOT)!r}, check=True,
        stdout=subprocess.DEVNULL, env={{**os.environ, **{away!r}}},
    )
"""
        + PROGRAM.replace("import json, os, sys\n", "")
    )
    # Far from one another: the sampler may have been at one of them.
    answers = [says(proposals({"x": x})) for x in (0.9, 0.2, 0.4, 0.65)]
    with BehindLogin(globus, *answers) as server:
        text = config.read_text().replace("URL", server.url)
        config.write_text(text.replace("max_iterations: 2", "max_iterations: 4"))
        done = search(config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("auth login --preset alcf") < done.stdout.index(
        "The LLM proposes again"
    )
    assert server.requests
