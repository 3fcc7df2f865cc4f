"""The configurations for LLM endpoints load, and lead to an endpoint."""

from pathlib import Path

import pytest

from agents.config import load

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "llm").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_loads(path):
    llm = load(path).settings.llm
    assert llm.base_url is not None and llm.model is not None
    assert (llm.globus is not None) == (path.stem == "alcf")
