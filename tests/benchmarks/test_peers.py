"""The optimizers that ours is measured against: each is asked and told rightly."""

import math
import statistics
import sys
from types import SimpleNamespace

import pytest

from agents.config.model import CategoricalParameter, FloatParameter, IntParameter
from agents.space import SearchSpace
from benchmarks.hybrid import FIELD
from benchmarks.hybrid.arms import make
from benchmarks.hybrid.peers import PEERS, REQUIREMENTS
from benchmarks.hybrid.tables import Family

PACKAGES = {"deephyper": "deephyper", "smac": "smac", "smac-once": "smac", "hyperopt": "hyperopt"}
PACKAGES["hebo"] = "hebo"
SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "scale": "log"},
    "drop": {"type": "float", "low": 0, "high": 0.6},
    "width": {"type": "int", "low": 16, "high": 1024, "scale": "log"},
    "depth": {"type": "int", "low": 1, "high": 3},
    "opt": {"type": "categorical", "choices": ["adam", "sgd"]},
}
DEFAULT = {"lr": 1e-4, "drop": 0.5, "width": 20, "depth": 1, "opt": "sgd"}
KINDS = {"float": FloatParameter, "int": IntParameter, "categorical": CategoricalParameter}
VALIDATOR = SearchSpace.build({n: KINDS[one["type"]](**one) for n, one in SPACE.items()}, [])


def task(direction="maximize"):
    family = Family("", "score", direction, SPACE, DEFAULT)
    return SimpleNamespace(family=family, sign=1.0 if direction == "maximize" else -1.0)


def height(point):
    """Highest, 0, at a rate of 0.01 and no dropout."""
    return -((math.log10(point["lr"]) + 2) ** 2) - 4 * point["drop"]


def started(arm, direction="maximize"):
    pytest.importorskip(PACKAGES[arm], reason=f"pip install {REQUIREMENTS[PEERS[arm]]}")
    return make(arm, task(direction), 7, 50)


@pytest.mark.parametrize("arm", FIELD)
def test_begins_with_the_default_and_stays_in_the_space(arm):
    peer = started(arm)
    points = []
    for count in (3, 1, 4):
        asked = peer.propose(count)
        assert len(asked) == count
        peer.tell([height(point) for point in asked])
        points += asked
    peer.close()
    assert points[0] == DEFAULT
    assert [VALIDATOR.validate(point) for point in points] == points
    assert all(type(point["width"]) is int and type(point["lr"]) is float for point in points)


@pytest.mark.slow
@pytest.mark.parametrize("arm", FIELD)
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_goes_where_it_is_better(arm, direction):
    peer, sign = started(arm, direction), 1 if direction == "maximize" else -1
    heights = []
    for _ in range(50):
        (point,) = peer.propose(1)
        heights.append(height(point))
        peer.tell([sign * heights[-1]])
    peer.close()
    assert statistics.median(heights[-10:]) > statistics.median(heights[1:11])


@pytest.mark.parametrize("arm", FIELD)
def test_a_missing_package_is_named_with_what_to_install(arm, monkeypatch):
    known = [name for name in sys.modules if name.split(".")[0] == PACKAGES[arm]]
    for name in (PACKAGES[arm], *known):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match=f"{arm} needs .*pip install {REQUIREMENTS[PEERS[arm]]}"):
        make(arm, task(), 7, 30)
