"""A real small model at the sampler's side, on real tables: what it answers, and what came of it.

    python tests/llm_real/local_llm.py --model qwen-0.5b -- \\
        python -m benchmarks.real_model run TABLES --out DIRECTORY --arms sampler,hybrid,llm
    python -m benchmarks.real_model report DIRECTORY

Tables, defaults and regret are those of `benchmarks.hybrid`, its development part. Arms:

* sampler: no LLM;
* hybrid: the LLM as an advisor, with the parameters' names and a sentence about the task;
* hybrid-masked: the same with names that say nothing (p0, p1, …) and no such sentence;
* llm, llm-masked: the LLM proposes everything, the sampler fills what it leaves empty.

The model's own luck is not seeded: another run gives other answers. Each exchange is kept beside
the results.
"""

import argparse
import json
import os
import random
import re
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

from agents.config.model import LlmSettings
from agents.proposers.advisor import Advisor
from agents.proposers.build import build_sampler
from agents.proposers.endpoint import Endpoint
from agents.proposers.exchanges import ExchangeLog, read_exchanges
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer
from agents.proposers.pending import with_pending
from agents.proposers.prompt import task_card
from agents.proposers.starters import StarterProposer
from agents.trial import StudyView, TrialState
from benchmarks.hybrid.report import p_value
from benchmarks.hybrid.tables import Task

SETS = ("hpobench/phoneme", "hpobench/vehicle", "hpobench/segment")
BUDGETS = (5, 10, 20)
REPAIRS = 1
KINDS = (
    ("repeated", re.compile("has had exactly these|so near that nothing|has these values twice")),
    ("refused by the gate", re.compile("the model of the runs so far expects")),
    ("in a corner", re.compile("lie at the edges")),
    ("not readable", re.compile("held no proposal|answer was empty")),
    ("too few", re.compile("proposals? (was|were) asked for")),
)
"""What was wrong with a proposal; anything else is a value outside the space."""


class Masked(Task):
    """The same table behind names that say nothing."""

    _real = {}

    def __init__(self, folder, name):
        super().__init__(folder, name)
        names = list(self.family.space)
        self._real = {f"p{place}": name for place, name in enumerate(names)}
        self.family = replace(
            self.family,
            metric="score",
            space={new: self.family.space[old] for new, old in self._real.items()},
            default={new: self.family.default[old] for new, old in self._real.items()},
        )

    def _cell(self, point):
        return super()._cell({self._real.get(name, name): value for name, value in point.items()})


def description(task):
    if isinstance(task, Masked):
        return ""
    data_set = task.name.split("/")[1]
    return (
        "Train a multilayer perceptron (scikit-learn's) on the tabular data set "
        f"{data_set}. The objective is its accuracy on validation data."
    )


def proposer(arm, task, seed, trials, folder):
    settings = task.settings(experiment={"id": "bench", "seed": seed}, proposer={"kind": "sampler"})
    inner = sampler = build_sampler(settings, task.space)
    if arm != "sampler":
        family = task.family
        card = task_card(task.space, family.metric, family.direction, trials, description(task))
        endpoint = Endpoint(
            LlmSettings(
                base_url=os.environ["PILOTHOUSE_TEST_LLM"],
                model=os.environ["PILOTHOUSE_TEST_LLM_MODEL"],
                timeout=600.0,
                max_tokens=600,
                prompt_tokens=4000,
            )
        )
        advisor = Advisor(task.space, card, endpoint, ExchangeLog(folder), REPAIRS)
        inner = LlmProposer(advisor, sampler)
        if arm.startswith("hybrid"):
            inner = HybridProposer(task.space, advisor, sampler, trials)
    return StarterProposer(task.space, [], inner)


def search(arm, task, seed, trials, folder):
    """The trials of one search, one at a time, and the regret after each."""
    mind = proposer(arm, task, seed, trials, folder)
    chance = random.Random(f"{seed}")  # the same luck for each arm
    view = StudyView("bench", task.family.metric, task.family.direction, [])
    best, regret, curve = float("-inf"), float("inf"), []
    for _ in range(trials):
        proposed = mind.propose(view, 1)
        view = replace(with_pending(view, proposed.proposals), sampler_state=proposed.sampler_state)
        trial, proposal = view.trials[-1], proposed.proposals[0]
        value = task.seen(trial.parameters, chance)
        ended = replace(
            trial,
            state=TrialState.COMPLETED,
            value=value,
            origin=proposal.origin,
            fallback_reason=proposal.fallback_reason,
        )
        view = replace(view, trials=[*view.trials[:-1], ended])
        if task.sign * value > best:
            best, regret = task.sign * value, task.regret(trial.parameters)
        curve.append(regret)
    return view.trials, curve


def counted(trials, exchanges):
    """What the kept exchanges tell."""
    answers = [one for one in exchanges if "answer" in one]
    faults = [fault for one in answers for fault in one.get("refused", ())]
    return {
        "llm": sum(trial.origin == "llm" for trial in trials),
        "fallback": sum(trial.fallback_reason is not None for trial in trials),
        "answers": len(answers),
        "accepted": sum(len(one["accepted"]) for one in answers),
        "faults": Counter(kind(fault) for fault in faults),
        "away": sum(bool(one.get("error")) for one in exchanges),
        "input": sum(one["usage"].get("input_tokens", 0) for one in answers),
        "output": sum(one["usage"].get("output_tokens", 0) for one in answers),
        "asking": round(sum(one["seconds"] for one in answers), 1),
        "ways": Counter(one["method"] for one in answers),
    }


def kind(fault):
    return next((name for name, words in KINDS if words.search(fault)), "outside the space")


def run(options):
    out = options.out / "searches.jsonl"
    options.out.mkdir(parents=True, exist_ok=True)
    kept = map(json.loads, out.read_text().splitlines()) if out.exists() else ()
    done = {(one["model"], one["set"], one["seed"], one["arm"]) for one in kept}
    model = os.environ.get("PILOTHOUSE_TEST_LLM_MODEL", "")
    for offset in range(options.seeds):
        for position, name in enumerate(options.sets.split(",")):
            seed = 500 + 1000 * position + offset
            for arm in options.arms.split(","):
                key = (model if arm != "sampler" else "", name, seed, arm)
                if key in done:
                    continue
                task = (Masked if arm.endswith("masked") else Task)(options.tables, name)
                folder = options.out / "-".join([*map(str, key)]).replace("/", "-")
                began = time.monotonic()
                trials, curve = search(arm, task, seed, options.trials, folder)
                record = {
                    **dict(zip(("model", "set", "seed", "arm"), key, strict=True)),
                    "regret": [round(value, 6) for value in curve],
                    "seconds": round(time.monotonic() - began, 1),
                    **counted(trials, [document for _, document in read_exchanges(folder)]),
                }
                with out.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(f"{' '.join(map(str, key))} done", file=sys.stderr, flush=True)


def report(options):
    records = [json.loads(line) for line in (options.out / "searches.jsonl").open()]
    groups = {}
    for one in records:
        groups.setdefault((one["model"], one["arm"]), []).append(one)
    print("\n".join([*answer_table(groups), "", *regret_table(groups, records)]))


def answer_table(groups):
    yield (
        "| model | arm | searches | LLM's share | answers | taken | outside the space | repeated "
        "| gate | corner | not readable | slots filled by the sampler | tokens in, out per answer "
        "| seconds per answer |"
    )
    yield "|---" * 14 + "|"
    for (model, arm), runs in groups.items():
        if arm == "sampler":
            continue
        total = Counter()
        faults = Counter()
        for one in runs:
            total.update({n: v for n, v in one.items() if n in ("llm", "fallback", "answers")})
            total.update({n: one[n] for n in ("accepted", "input", "output", "asking")})
            faults.update(one["faults"])
        answers = max(1, total["answers"])
        trials = sum(len(one["regret"]) for one in runs)
        slots = max(1, total["llm"] + total["fallback"])
        names = ("outside the space", "repeated", "refused by the gate", "in a corner")
        cells = [
            *(model, arm, len(runs), f"{total['llm'] / trials:.0%}", total["answers"]),
            total["accepted"],
            *(f"{faults[name]} ({faults[name] / answers:.0%})" for name in names),
            f"{faults['not readable'] + faults['too few']}",
            f"{total['fallback']} of {slots} ({total['fallback'] / slots:.0%})",
            f"{total['input'] / answers:.0f}, {total['output'] / answers:.0f}",
            f"{total['asking'] / answers:.1f}",
        ]
        yield "| " + " | ".join(map(str, cells)) + " |"


def regret_table(groups, records):
    """Mean regret of each arm, and that of the sampler on the same data sets and seeds.

    p: paired Wilcoxon test.
    """
    base = {(one["set"], one["seed"]): one["regret"] for one in records if one["arm"] == "sampler"}
    yield "| model | arm | searches | " + " | ".join(f"{b} trials" for b in BUDGETS) + " |"
    yield "|---" * (3 + len(BUDGETS)) + "|"
    for (model, arm), runs in groups.items():
        cells = [model, arm, str(len(runs))]
        for budget in BUDGETS:
            pairs = [
                (one["regret"][budget - 1], base[one["set"], one["seed"]][budget - 1])
                for one in runs
                if (one["set"], one["seed"]) in base and len(one["regret"]) >= budget
            ]
            if not pairs:
                cells.append("")
                continue
            ours, theirs = (np.array(side) for side in zip(*pairs, strict=True))
            against = (
                f" (sampler {theirs.mean():.3f}; {(ours < theirs).sum()} better, "
                f"{(ours > theirs).sum()} worse, p {p_value(ours, theirs):.2f})"
            )
            cells.append(f"{ours.mean():.3f}{against if arm != 'sampler' else ''}")
        yield "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run_parser = verbs.add_parser("run", help="run the searches that the directory lacks")
    run_parser.add_argument("tables", type=Path)
    run_parser.add_argument("--out", type=Path, required=True)
    run_parser.add_argument("--arms", default="sampler,hybrid,hybrid-masked,llm,llm-masked")
    run_parser.add_argument("--sets", default=",".join(SETS))
    run_parser.add_argument("--seeds", type=int, default=2)
    run_parser.add_argument("--trials", type=int, default=20)
    report_parser = verbs.add_parser("report", help="print tables of the searches")
    report_parser.add_argument("out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    (run if options.verb == "run" else report)(options)


if __name__ == "__main__":
    main()
