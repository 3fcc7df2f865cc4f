"""A login with Globus: done once by a person, renewed by itself, asked for again when it has to be."""

import os
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from globus_server import CODE

from agents.auth.errors import LoginAway, LoginRequired
from agents.auth.globus import GlobusLogin
from agents.auth.identity import PRESETS, identity
from agents.auth.store import TokenStore
from agents.config.model import GlobusSettings
from agents.errors import ConfigurationError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def login(globus):
    return GlobusLogin(PRESETS["alcf"])


@pytest.fixture
def logged_in(login, globus):
    address = login.begin()
    globus.challenge = parse_qs(urlsplit(address).query)["code_challenge"][0]
    login.complete(CODE)
    return login


def age(login, seconds):
    """As if so many seconds had gone by."""
    store = TokenStore(PRESETS["alcf"].client_id)
    tokens = store.load()
    store.save(replace(tokens, expires_at=tokens.expires_at - seconds))


def test_the_address_asks_for_what_the_service_wants(login):
    query = parse_qs(urlsplit(login.begin()).query)
    assert query["client_id"] == [PRESETS["alcf"].client_id]
    assert query["scope"][0].split()[0] == PRESETS["alcf"].scope
    assert query["session_required_single_domain"] == ["anl.gov,alcf.anl.gov"]
    assert query["access_type"] == ["offline"]  # with a refresh token
    assert query["code_challenge_method"] == ["S256"]


def test_a_login_is_kept_for_its_owner_alone(logged_in, globus):
    tokens = logged_in.tokens()
    assert tokens.user == "ada@alcf.anl.gov"
    path = Path(logged_in.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".json", ".lock"]
    assert logged_in.access_token() in globus.good
    assert globus.asked == ["authorization_code"]


def test_a_wrong_code_is_said(login):
    login.begin()
    with pytest.raises(LoginRequired, match=r"did not take the code .*--preset alcf"):
        login.complete("wrong")


def test_a_token_is_renewed_before_it_ends(logged_in, globus):
    first = logged_in.access_token()
    age(logged_in, 48 * 3600 - 200)
    second = logged_in.access_token()
    assert second != first
    assert logged_in.access_token() == second
    assert globus.asked == ["authorization_code", "refresh_token"]
    assert logged_in.tokens().user == "ada@alcf.anl.gov"


def test_a_refused_token_is_renewed_once(logged_in, globus):
    first = logged_in.access_token()
    second = logged_in.renew(first)
    assert second != first
    assert logged_in.renew(first) == second  # somebody else has done it
    assert globus.asked.count("refresh_token") == 1


def test_of_many_processes_one_renews(logged_in, globus):
    age(logged_in, 48 * 3600)
    code = (
        "from agents.auth.globus import GlobusLogin\n"
        "from agents.auth.identity import PRESETS\n"
        "print(GlobusLogin(PRESETS['alcf']).access_token())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    tokens = {process.communicate()[0].strip() for process in running}
    assert tokens == {logged_in.access_token()}
    assert globus.asked.count("refresh_token") == 1


def test_a_dead_login_asks_for_the_person(logged_in, globus):
    age(logged_in, 48 * 3600)
    globus.forgotten = True
    with pytest.raises(LoginRequired, match=r"invalid_grant.* log in again: python -m agents.run"):
        logged_in.access_token()


def test_a_service_that_is_away_leaves_the_old_token(logged_in, globus, monkeypatch):
    waits = []  # between its tries, which the library makes by itself
    monkeypatch.setattr("globus_sdk.transport.requests.time.sleep", waits.append)
    first = logged_in.access_token()
    age(logged_in, 48 * 3600 - 100)
    globus.fails_with = 503
    assert logged_in.access_token() == first
    age(logged_in, 100)
    with pytest.raises(LoginAway, match="does not answer"):
        logged_in.access_token()
    assert waits


def test_logging_out_forgets_here_and_there(logged_in, globus):
    token = logged_in.access_token()
    assert logged_in.log_out()
    assert token not in globus.good
    assert not Path(logged_in.path).exists()
    assert not logged_in.log_out()
    with pytest.raises(LoginRequired, match="nobody has logged in"):
        logged_in.access_token()


def test_a_file_that_others_can_read_is_refused(logged_in):
    os.chmod(logged_in.path, 0o644)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        logged_in.access_token()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"access_token": 1'])
def test_a_broken_file_is_said(logged_in, content):
    Path(logged_in.path).write_text(content)
    with pytest.raises(ConfigurationError, match="delete it and log in again"):
        logged_in.access_token()


def test_a_configuration_can_replace_each_value():
    own = identity(GlobusSettings(preset="alcf", domains=["x.edu"]))
    assert (own.domains, own.scope) == (("x.edu",), PRESETS["alcf"].scope)
    assert "--config" in own.login_words
    with pytest.raises(ConfigurationError, match="client_id and scope"):
        identity(GlobusSettings(client_id="me"))


def test_time_that_is_left_counts_from_the_answer(logged_in, globus):
    assert 0 < logged_in.tokens().expires_at - time.time() <= globus.lasts


def test_a_login_for_another_scope_is_none(logged_in):
    other = GlobusLogin(identity(GlobusSettings(preset="alcf", scope="https://other/scope")))
    assert other.tokens() is None
    with pytest.raises(LoginRequired, match="nobody has logged in"):
        other.access_token()


def test_a_preset_without_its_domains_is_not_the_preset():
    own = identity(GlobusSettings(preset="alcf", domains=[]))
    assert (own.domains, "--config" in own.login_words) == ((), True)


def test_where_nothing_can_be_written_it_is_said(logged_in, globus):
    age(logged_in, 48 * 3600)
    lock = Path(logged_in.path).with_suffix(".lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(LoginAway, match=r"cannot be kept in .*XDG_CONFIG_HOME"):
        logged_in.access_token()
