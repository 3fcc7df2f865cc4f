"""``auth status``: whether the login still works can be seen only by asking the service."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from globus_server import CODE

from agents.auth.errors import LoginAway
from agents.auth.globus import GlobusLogin
from agents.auth.identity import PRESETS
from agents.auth.store import TokenStore
from agents.commands import auth

ROOT = Path(__file__).parents[3]
COMMAND = "python -m agents.run auth login --preset alcf"


@pytest.fixture
def login(globus):
    login = GlobusLogin(PRESETS["alcf"])
    login.begin()
    login.complete(CODE)
    return login


def edit(**changes):
    store = TokenStore(PRESETS["alcf"].client_id)
    store.save(replace(store.load(), **changes))


def status(*more):
    command = [sys.executable, "-m", "agents.run", "auth", "status", "--preset", "alcf", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))


def test_a_login_that_lives_is_renewed_and_kept(globus, login):
    before = login.access_token()
    done = status()
    assert done.returncode == 0
    assert "renewed by itself (asked just now)" in done.stdout
    assert globus.asked == ["authorization_code", "refresh_token"]
    assert login.access_token() != before
    assert login.access_token() in globus.good
    assert "secret" not in done.stdout + done.stderr


def test_a_dead_login_is_seen_while_its_token_still_lasts(globus, login):
    globus.forgotten = True
    done = status()
    assert done.returncode == 1
    assert "a person is wanted by then" in done.stdout
    assert f"does not renew the login (HTTP 400, invalid_grant): log in again: {COMMAND}" in (
        done.stdout
    )
    told = json.loads(status("--json").stdout)
    assert told["usable"] is False
    assert told["login"]["renewed_by_itself"] is False
    assert COMMAND in told["login"]["why"]


def test_a_dead_login_whose_token_has_ended_wants_the_person_now(globus, login):
    globus.forgotten = True
    edit(expires_at=time.time() - 5)
    done = status()
    assert done.returncode == 1
    assert "access token ended" in done.stdout
    assert "a person is wanted now" in done.stdout


@pytest.mark.parametrize(
    ("fails_with", "says", "words"),
    [
        (503, None, "HTTP 503"),
        (429, None, "HTTP 429"),
        (None, (403, "<h1>Blocked by the campus proxy</h1>"), "HTTP 403"),
        (None, (200, "<h1>Please sign in to the guest network</h1>"), "sign-in page"),
    ],
)
def test_where_the_service_gives_no_answer_it_is_not_known(globus, login, fails_with, says, words):
    globus.fails_with, globus.says = fails_with, says
    text, usable = auth.login_status(login, as_json=False, offline=False)
    assert usable
    assert "not known (the login service" in text
    assert words in text
    told = json.loads(auth.login_status(login, as_json=True, offline=False)[0])
    assert told["login"]["renewed_by_itself"] is None


def test_a_service_that_is_down_is_not_known_either(globus, login):
    globus.close()
    text, usable = auth.login_status(login, as_json=False, offline=False)
    assert usable
    assert "not known (the login service does not answer" in text


def test_the_service_is_waited_for_only_so_long(globus, login, monkeypatch):
    asked, go_on = threading.Event(), threading.Event()
    answer = globus.answer

    def hanging(path, form):
        asked.set()
        go_on.wait(60)
        return answer(path, form)

    monkeypatch.setattr(globus, "answer", hanging)
    monkeypatch.setattr(auth, "CHECK_SECONDS", 0.5)
    try:
        text, usable = auth.login_status(login, as_json=False, offline=False)
        assert asked.wait(60)  # it may have come that far later than nobody waited for it
    finally:
        go_on.set()
    assert usable
    assert "did not answer within 0.5 s" in text


def test_offline_asks_nobody(globus, login):
    globus.forgotten = True
    done = status("--offline")
    assert done.returncode == 0
    assert "not known (--offline)" in done.stdout
    assert globus.asked == ["authorization_code"]


@pytest.mark.parametrize(
    ("left", "code", "words"), [(3600, 0, "wanted by then"), (-5, 1, "wanted now")]
)
def test_a_login_without_a_refresh_token_lasts_as_long_as_its_token(
    globus, login, left, code, words
):
    edit(refresh_token=None, expires_at=time.time() + left)
    done = status()
    assert done.returncode == code
    assert words in done.stdout
    assert COMMAND in done.stdout
    assert globus.asked == ["authorization_code"]


def test_the_refresh_token_is_not_shown_where_the_service_repeats_it(globus, login, monkeypatch):
    def talkative(path, form):
        return 400, {"error_description": f"unknown token {form['refresh_token']}"}

    monkeypatch.setattr(globus, "answer", talkative)
    done = status()
    assert done.returncode == 1
    assert "unknown token ***" in done.stdout
    assert "refresh-1" not in done.stdout + done.stderr


def test_a_refused_token_whose_renewal_gets_no_answer_is_no_wrong_person(globus, login):
    globus.says = (403, "<h1>Blocked by the campus proxy</h1>")
    with pytest.raises(LoginAway, match="HTTP 403"):
        login.renew(login.access_token())


def test_another_page_in_place_of_the_service_ends_no_login(globus):
    login = GlobusLogin(PRESETS["alcf"])
    login.begin()
    globus.says = (200, "<h1>Please sign in to the guest network</h1>")
    with pytest.raises(LoginAway, match="sign-in page"):
        login.complete(CODE)
