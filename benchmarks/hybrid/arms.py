"""The arms: each proposes points, and is told what was seen of them."""

import tempfile
from dataclasses import replace
from pathlib import Path

import optuna

from agents.proposers.advisor import Advisor
from agents.proposers.build import build_sampler
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer
from agents.proposers.pending import pending_trial, with_pending
from agents.proposers.prompt import task_card
from agents.proposers.starters import StarterProposer
from agents.proposers.surrogate import Surrogate
from agents.trial import Proposal, StudyView, TrialState
from benchmarks.hybrid import BUDGETS
from benchmarks.hybrid.minds import StandIn
from benchmarks.hybrid.peers import PEERS, peer


class Ours:
    """A proposer of this project; `sampler` in its name stands for the default one."""

    def __init__(self, arm, task, seed, trials):
        style, _, what = arm.partition(":")
        self._folder = tempfile.TemporaryDirectory()
        kind = {"kind": what} if style == "sampler" and what else {}
        kind = {"kind": "random"} if style == "random" else kind
        settings = task.settings(
            experiment={"id": "bench", "seed": seed},
            proposer={"kind": "sampler", "sampler": kind},
        )
        inner = sampler = build_sampler(settings, task.space)
        if style in ("llm", "hybrid"):
            family = task.family
            card = task_card(task.space, family.metric, family.direction, trials)
            log = ExchangeLog(Path(self._folder.name))
            advisor = Advisor(task.space, card, StandIn(what, task, seed), log, 1)
            inner = LlmProposer(advisor, sampler)
            if style == "hybrid":
                inner = HybridProposer(task.space, advisor, sampler, trials)
        self._mind = StarterProposer(task.space, [], inner)
        self._view = StudyView("bench", task.family.metric, task.family.direction, [])
        self._running = []

    def propose(self, count):
        proposed = self._mind.propose(self._view, count)
        start, self._running = len(self._view.trials), list(proposed.proposals)
        view = with_pending(self._view, proposed.proposals)
        self._view = replace(view, sampler_state=proposed.sampler_state)
        return [dict(trial.parameters) for trial in self._view.trials[start:]]

    def tell(self, values):
        trials = list(self._view.trials)
        start = len(trials) - len(values)
        for offset, (proposal, value) in enumerate(zip(self._running, values, strict=True)):
            trials[start + offset] = replace(
                trials[start + offset],
                state=TrialState.COMPLETED,
                value=value,
                origin=proposal.origin,
            )
        self._view = replace(self._view, trials=trials)

    def counts(self):
        """How many trials were the LLM's, and how many it left to the sampler."""
        trials = self._view.trials
        llm = sum(trial.origin == "llm" for trial in trials)
        return {"llm": llm, "fallback": sum(t.fallback_reason is not None for t in trials)}

    def close(self):
        self._folder.cleanup()


class Optuna:
    """Optuna as it comes, started with the default configuration."""

    def __init__(self, arm, task, seed, trials):
        samplers = optuna.samplers
        kind = {
            "optuna-tpe": samplers.TPESampler,
            "optuna-gp": samplers.GPSampler,
            "cma-es": samplers.CmaEsSampler,
        }[arm]
        options = {} if arm != "cma-es" else {"warn_independent_sampling": False}
        self._study = optuna.create_study(
            direction=task.family.direction, sampler=kind(seed=seed, **options)
        )
        self._study.enqueue_trial(task.family.default)
        self._space, self._running = task.space, []

    def propose(self, count):
        self._running = [self._study.ask() for _ in range(count)]
        return [self._space.suggest(trial) for trial in self._running]

    def tell(self, values):
        for trial, value in zip(self._running, values, strict=True):
            self._study.tell(trial, value)

    def counts(self):
        return {}

    def close(self):
        pass


class Nevergrad:
    """Nevergrad's NGOpt, which chooses an algorithm by the space and the budget."""

    def __init__(self, arm, task, seed, trials):
        import nevergrad

        self._sign, self._default, self._started = task.sign, task.family.default, False
        space = nevergrad.p.Dict(
            **{name: _nevergrad(nevergrad.p, one) for name, one in task.family.space.items()}
        )
        space.random_state.seed(seed % 2**32)
        self._optimizer = nevergrad.optimizers.NGOpt(space, budget=trials, num_workers=8)
        self._family, self._running = task.family, []

    def propose(self, count):
        if not self._started:
            self._optimizer.suggest(self._raw(self._default))
            self._started = True
        self._running = [self._optimizer.ask() for _ in range(count)]
        return [self._point(one.value) for one in self._running]

    def _raw(self, point):
        return {n: float(v) if not isinstance(v, str) else v for n, v in point.items()}

    def _point(self, value):
        point = {}
        for name, one in self._family.space.items():
            whole = one["type"] == "int"
            point[name] = round(value[name]) if whole else value[name]
        return point

    def tell(self, values):
        for one, value in zip(self._running, values, strict=True):
            self._optimizer.tell(one, -self._sign * value)

    def counts(self):
        return {}

    def close(self):
        pass


def _nevergrad(kinds, one):
    if one["type"] == "categorical":
        return kinds.Choice(one["choices"])
    if one.get("scale") == "log":
        return kinds.Log(lower=one["low"], upper=one["high"])
    middle = (one["low"] + one["high"]) / 2
    scalar = kinds.Scalar(init=middle, lower=one["low"], upper=one["high"])
    return scalar.set_mutation(sigma=(one["high"] - one["low"]) / 6)


def make(arm, task, seed, trials):
    if arm.startswith("optuna") or arm == "cma-es":
        return Optuna(arm, task, seed, trials)
    if arm == "nevergrad":
        return Nevergrad(arm, task, seed, trials)
    if arm in PEERS:
        return peer(arm, task, seed, trials)
    return Ours(arm, task, seed, trials)


def played(arm, task, seed, trials, batch, chance):
    """The points of one search, what was seen of each, and how many were repeats or an LLM's."""
    one = make(arm, task, seed, trials)
    points, values, repeats = [], [], 0
    while len(points) < trials:
        asked = one.propose(min(batch, trials - len(points)))
        seen = [task.seen(point, chance) for point in asked]
        one.tell(seen)
        repeats += sum(point in points for point in asked)
        points, values = [*points, *asked], [*values, *seen]
    counts = {"repeats": repeats, **one.counts()}
    one.close()
    return points, values, counts


def ended(number, point, value):
    """A trial that has completed."""
    trial = pending_trial(number, 1, Proposal(point, "sampler"))
    return replace(trial, state=TrialState.COMPLETED, value=value)


def search(arm, task, seed, trials, batch, chance):
    """What became of one search, after each trial, as regret of true means.

    `regret`: of what looks best so far. `found`: of the best that was tried, which nobody can tell
    from one noisy run each. `modelled`: of what a Gaussian process takes for the best, at
    `BUDGETS`.
    """
    points, values, counts = played(arm, task, seed, trials, batch, chance)
    truth = [task.regret(point) for point in points]
    looks = [task.sign * value for value in values]
    return {
        "regret": [truth[looks.index(max(looks[: n + 1]))] for n in range(trials)],
        "found": [min(truth[: n + 1]) for n in range(trials)],
        "modelled": [truth[_modelled(task, points[:n], values)] for n in BUDGETS if n <= trials],
        **counts,
    }


def _modelled(task, points, values):
    """Which point the surrogate expects most of."""
    pairs = zip(points, values, strict=False)
    trials = [ended(number, point, value) for number, (point, value) in enumerate(pairs)]
    view = StudyView("bench", task.family.metric, task.family.direction, trials)
    model = Surrogate.fit(task.space, view)
    if model is None:
        return max(range(len(points)), key=lambda n: task.sign * values[n])
    return max(range(len(points)), key=lambda n: model.predict(points[n]).mean)
