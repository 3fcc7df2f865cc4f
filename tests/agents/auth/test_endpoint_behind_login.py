"""An endpoint behind a login: a refused token is renewed, and a person's login is noticed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from behind_login import BehindLogin
from globus_server import CODE
from openai_server import MODEL, error, proposals, says
from spaces import EMPTY, enter

from agents.auth.globus import GlobusLogin
from agents.auth.identity import PRESETS
from agents.auth.store import TokenStore
from agents.config.model import FloatParameter, GlobusSettings, LlmSettings, SamplerSettings
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import Endpoint, EndpointAway
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.llm import LlmProposer
from agents.proposers.prompt import task_card
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace

SPACE = SearchSpace.build({"x": FloatParameter(type="float", low=0, high=1)}, [])


def log_in():
    login = GlobusLogin(PRESETS["alcf"])
    login.begin()
    login.complete(CODE)
    return login


@pytest.fixture
def login(globus):
    return log_in()


def endpoint(server):
    settings = LlmSettings(
        base_url=server.url, model=MODEL, globus=GlobusSettings(preset="alcf"), timeout=60.0,
        max_retries=0,
    )  # fmt: skip
    return Endpoint(settings, sleep=lambda _: None)


@pytest.fixture
def proposer(tmp_path):
    """Makes an LLM proposer over a server."""

    def make(server):
        card = task_card(SPACE, "accuracy_auc", "maximize", 20, "", {})
        log = ExchangeLog(tmp_path / "exchanges")
        sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
        return LlmProposer(Advisor(SPACE, card, endpoint(server), log, 0), sampler)

    return make


def test_the_list_of_models_renews_a_refused_token_once(globus, login):
    globus.good.clear()
    with BehindLogin(globus, says(proposals({"x": 0.5}))) as server:
        assert endpoint(server).models(60) == [MODEL]
    assert server.refused == 1
    assert globus.asked.count("refresh_token") == 1


def test_where_the_new_token_is_refused_too_the_list_is_not_asked_for_again(globus, login):
    class Refuses(BehindLogin):
        def lets_in(self, headers):
            self.refused += 1
            return False

    with Refuses(globus, says("")) as server, pytest.raises(EndpointAway) as caught:
        endpoint(server).models(60)
    assert server.refused == 2
    assert "HTTP 401" in str(caught.value)
    assert "auth login --preset alcf" in str(caught.value)
    assert "access-secret" not in str(caught.value)


def test_the_list_of_models_says_where_a_person_is_wanted(globus, login):
    globus.good.clear()
    globus.forgotten = True
    with BehindLogin(globus, says("")) as server, pytest.raises(EndpointAway) as caught:
        endpoint(server).models(60)
    assert "log in again: python -m agents.run auth login --preset alcf" in str(caught.value)


def proposed_by(mind, view, times):
    """Who proposed each of so many trials."""
    origins = []
    for _ in range(times):
        proposed = mind.propose(view, 1)
        origins.append(proposed.proposals[0].origin)
        view = enter(view, proposed)
    return origins, view


def test_after_a_login_the_llm_is_asked_at_once_however_long_it_was_away(globus, login, proposer):
    globus.good.clear()
    globus.forgotten = True
    with BehindLogin(globus, says(proposals({"x": 0.15})), says(proposals({"x": 0.92}))) as server:
        mind = proposer(server)
        origins, view = proposed_by(mind, EMPTY, 9)
        assert set(origins) == {"sampler"}
        assert server.refused == 4  # of nine: the breaker asks less and less often
        globus.forgotten = False
        log_in()  # in another terminal
        origins, _ = proposed_by(mind, view, 2)
    assert origins == ["llm", "llm"]


def test_a_login_with_the_wrong_identity_is_asked_with_once(globus, login, proposer):
    """The endpoint refuses the person, not the token: each new login is tried, then left alone."""

    class Forbids(BehindLogin):
        def answer(self, headers, body):
            self.refused += 1
            return error(403, "Permission denied from internal policies")(body)

    with Forbids(globus, says("")) as server:
        mind = proposer(server)
        _, view = proposed_by(mind, EMPTY, 6)
        assert server.refused == 3
        log_in()
        _, view = proposed_by(mind, view, 1)
        assert server.refused == 4
        _, view = proposed_by(mind, view, 6)
        assert server.refused == 6  # two more, as after a first failure


def test_a_file_that_is_mended_is_noticed_as_well(globus, login, proposer):
    path = Path(login.path)
    with BehindLogin(globus, says(proposals({"x": 0.15})), says(proposals({"x": 0.92}))) as server:
        mind = proposer(server)
        os.chmod(path, 0o644)
        origins, view = proposed_by(mind, EMPTY, 5)
        assert set(origins) == {"sampler"}
        os.chmod(path, 0o600)
        origins, _ = proposed_by(mind, view, 2)
    assert origins == ["llm", "llm"]


def test_a_renewal_says_nothing_about_a_server_that_is_down(globus, login, proposer):
    with BehindLogin(globus, error(503, "loading")) as server:
        mind = proposer(server)
        _, view = proposed_by(mind, EMPTY, 4)
        asked = len(server.requests)
        store = TokenStore(PRESETS["alcf"].client_id)
        store.save(replace(store.load(), user="another"))
        proposed_by(mind, view, 3)
        assert len(server.requests) == asked


def test_what_the_run_itself_renews_is_no_new_login(globus, login, proposer):
    class Refuses(BehindLogin):
        def lets_in(self, headers):
            self.refused += 1
            return False

    with Refuses(globus, says("")) as server:
        proposed_by(proposer(server), EMPTY, 9)
    assert server.refused == 2 * 4  # each time with the old token and with a new one
