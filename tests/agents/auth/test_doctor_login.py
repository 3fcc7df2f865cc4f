"""``doctor`` looks at the login as a run would use it."""

import time
from dataclasses import replace

import pytest
from globus_server import CODE

from agents.auth.globus import GlobusLogin
from agents.auth.identity import PRESETS
from agents.auth.store import TokenStore
from agents.config import load
from agents.doctor import authentication
from agents.doctor.authentication import authentication_checks


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "config.yaml").write_text(
        """\
experiment: {id: behind}
search_space: {x: {type: float, low: 0, high: 1}}
llm: {base_url: "http://127.0.0.1:9/v1", model: m, globus: {preset: alcf}}
training: {command: ["true", "{hyperparameters}"]}
"""
    )
    return load(tmp_path / "config.yaml").settings


def test_nobody_has_logged_in(globus, settings):
    (check,) = authentication_checks(settings, lambda what: None)
    assert check.outcome.value == "failed"
    assert check.remedy == "python -m agents.run auth login --preset alcf"


def test_a_login_says_whose_and_until_when(globus, settings):
    login = GlobusLogin(PRESETS["alcf"])
    login.begin()
    login.complete(CODE)
    (check,) = authentication_checks(settings, lambda what: None)
    assert check.outcome.value == "ok"
    assert "ada@alcf.anl.gov" in check.seen and "until" in check.seen


def test_a_login_service_that_is_away_is_no_failure(globus, settings, monkeypatch):
    monkeypatch.setattr(authentication, "SECONDS", 0.5)
    login = GlobusLogin(PRESETS["alcf"])
    login.begin()
    tokens = login.complete(CODE)
    TokenStore(PRESETS["alcf"].client_id).save(replace(tokens, expires_at=time.time() - 5))
    globus.close()
    (check,) = authentication_checks(settings, lambda what: None)
    assert check.outcome.value == "warning"
    assert check.remedy


@pytest.mark.parametrize(("left", "outcome"), [(3600, "warning"), (-5, "failed")])
def test_a_login_that_is_not_renewed_any_more_is_said_before_it_ends(
    globus, settings, left, outcome
):
    login = GlobusLogin(PRESETS["alcf"])
    login.begin()
    tokens = login.complete(CODE)
    TokenStore(PRESETS["alcf"].client_id).save(replace(tokens, expires_at=time.time() + left))
    globus.forgotten = True
    (check,) = authentication_checks(settings, lambda what: None)
    assert check.outcome.value == outcome
    assert check.remedy == "python -m agents.run auth login --preset alcf"
