"""Tests with a real model. `make test-llm` serves one; without it they are skipped."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@dataclass(frozen=True)
class RealLlm:
    url: str
    model: str


@pytest.fixture(scope="session")
def llm():
    url = os.environ.get("PILOTHOUSE_TEST_LLM")
    if not url:
        pytest.skip("needs a real model: `make test-llm`, or PILOTHOUSE_TEST_LLM=URL of a server")
    return RealLlm(url, os.environ.get("PILOTHOUSE_TEST_LLM_MODEL", "model"))


@pytest.fixture(autouse=True, scope="session")
def no_proxy():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        yield
