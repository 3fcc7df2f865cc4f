"""Tables of what `run` kept: means with intervals, ranks, paired tests, rates."""

import json
import statistics
from collections import Counter

import numpy as np
from scipy.stats import rankdata, wilcoxon

from benchmarks.hybrid import BUDGETS, FIELD

RESAMPLES = 4000


class Runs:
    """The searches of one batch size that every arm has, paired by data set and seed."""

    def __init__(self, records, batch):
        self.records = [record for record in records if record["batch"] == batch]
        self.arms = list(dict.fromkeys(record["arm"] for record in self.records))
        by_arm = {
            arm: {(r["set"], r["seed"]): r for r in self.records if r["arm"] == arm}
            for arm in self.arms
        }
        self.keys = _whole_rounds(set.intersection(*(set(runs) for runs in by_arm.values())))
        self.of = {arm: [runs[key] for key in self.keys] for arm, runs in by_arm.items()}
        self.sets = sorted({name for name, _ in self.keys})
        self.trials = len(self.of[self.arms[0]][0]["regret"])
        self.budgets = [budget for budget in BUDGETS if budget <= self.trials]

    def at(self, arm, what="regret"):
        """A row for each search, a column for each budget."""
        if what == "modelled":
            return np.array([run[what] for run in self.of[arm]])
        return np.array(
            [[run[what][budget - 1] for budget in self.budgets] for run in self.of[arm]]
        )


def _whole_rounds(keys):
    """Those of the rounds that have a seed of every data set: a run may have been ended early."""
    sets = {name for name, _ in keys}
    rounds = Counter(seed % 1000 for _, seed in keys)
    return sorted(key for key in keys if rounds[key[1] % 1000] == len(sets))


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def interval(values):
    """Bootstrap interval of the mean, 95%; the same draws each time."""
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    return np.quantile(values[draws].mean(axis=1), [0.025, 0.975])


def p_value(ours, theirs):
    return 1.0 if (ours == theirs).all() else float(wilcoxon(ours, theirs).pvalue)


def told(values, baseline=None):
    """The mean with its interval; p: against a baseline, in pairs."""
    low, high = interval(values)
    p = "" if baseline is None else f", p {p_value(values, baseline):.3f}"
    return f"{values.mean():.3f} ({low:.2f} to {high:.2f}{p})"


def table(budgets, head, rows):
    head = [head, *(f"{budget} trials" for budget in budgets)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def means(runs, what="regret"):
    rows = []
    for arm in runs.arms:
        rows.append([arm, *map(told, runs.at(arm, what).T)])
    return table(runs.budgets, "arm", rows)


def ranks(runs):
    stack = np.array([runs.at(arm) for arm in runs.arms])
    ranked = rankdata(stack, axis=0).mean(axis=1)
    rows = [[arm, *(f"{r:.2f}" for r in row)] for arm, row in zip(runs.arms, ranked, strict=True)]
    return table(runs.budgets, "mean rank", rows)


def tests(runs, base, arms, what="regret"):
    rows = []
    for arm in arms:
        if arm == base or arm not in runs.arms:
            continue
        ours, theirs = runs.at(arm, what), runs.at(base, what)
        rows.append(
            [
                arm,
                *(
                    f"{a.mean() - b.mean():+.3f} (p {p_value(a, b):.3f})"
                    for a, b in zip(ours.T, theirs.T, strict=True)
                ),
            ]
        )
    return table(runs.budgets, f"minus {base}", rows)


def against_field(runs, what):
    known = [arm for arm in FIELD if arm in runs.arms]
    return tests(runs, "sampler", known, what) if known else ""


def by_set(runs, arms, what="regret"):
    rows = []
    for name in runs.sets:
        chosen = [position for position, key in enumerate(runs.keys) if key[0] == name]
        for arm in arms:
            if arm in runs.arms:
                values = runs.at(arm, what)[chosen].mean(axis=0)
                rows.append([f"{name}, {arm}", *(f"{value:.3f}" for value in values)])
    return table(runs.budgets, "data set, arm", rows)


def rates(runs):
    lines = [
        "| arm | LLM's trials | left to the sampler | repeats | CPU seconds a search |",
        "|---|---|---|---|---|",
    ]
    for arm in runs.arms:
        searches = runs.of[arm]
        shares = [
            statistics.fmean(run.get(name, 0) for run in searches) / runs.trials
            for name in ("llm", "fallback", "repeats")
        ]
        seconds = statistics.fmean(run["seconds"] for run in searches)
        lines.append(f"| {arm} | " + " | ".join(f"{s:.0%}" for s in shares) + f" | {seconds:.1f} |")
    return "\n".join([*lines, ""])


def needed(runs, goal_arm="optuna-tpe"):
    """After how many trials each arm's mean is where that of `goal_arm` is at the end."""
    curves = {arm: np.mean([r["regret"] for r in runs.of[arm]], axis=0) for arm in runs.arms}
    goal, lines = curves[goal_arm][-1], []
    for arm, curve in curves.items():
        below = np.flatnonzero(curve <= goal)
        when = f"{below[0] + 1} trials" if len(below) else f"not within {len(curve)} trials"
        lines.append(f"* {arm}: {when}")
    head = f"Mean regret of {goal_arm} after {runs.trials} trials ({goal:.3f}) is reached after:"
    return head + "\n\n" + "\n".join([*lines, ""])


MOST_LOST = 10


def lost(runs, arms, base="sampler"):
    """How many trials a mind costs: the fewest by which `base` must be ahead for the arm to be no
    worse, in the mean or beyond noise (one-sided p 0.05)."""
    rows = []
    curves = {arm: np.array([r["regret"] for r in runs.of[arm]]) for arm in runs.arms}
    for arm in (arm for arm in arms if arm in curves):
        cells = [arm]
        for budget in runs.budgets:
            theirs = curves[base][:, budget - 1]
            for more in range(MOST_LOST + 1):
                ours = curves[arm][:, min(budget + more, runs.trials) - 1]
                if ours.mean() <= theirs.mean() or _worse(ours, theirs) >= 0.05:
                    break
            cells.append("none" if more == 0 else f"{more}")
        rows.append(cells)
    return table(runs.budgets, "trials lost, against the sampler alone", rows)


def _worse(ours, theirs):
    differ = (ours != theirs).any()
    return float(wilcoxon(ours, theirs, alternative="greater").pvalue) if differ else 1.0


def report(records):
    parts = []
    for batch in sorted({record["batch"] for record in records}):
        runs = Runs(records, batch)
        plain = [arm for arm in runs.arms if ":" not in arm]
        minds = [arm for arm in runs.arms if ":" in arm]
        title = "One trial at a time" if batch == 1 else f"In batches of {batch}"
        parts += [
            f"## {title}: {len(runs.sets)} data sets, {len(runs.keys)} searches for each arm",
            "Regret of what looks best (0: best of the table, 1: the default), 95% interval:",
            means(runs),
            ranks(runs),
            "Difference of means and paired Wilcoxon test (not corrected for their number):",
            tests(runs, "optuna-tpe", ["sampler", "hybrid:rules"]),
            tests(runs, "sampler", [*plain, *minds]),
            tests(runs, "llm:rules", ["hybrid:rules"]) if "llm:rules" in runs.arms else "",
            lost(runs, minds) if minds else "",
            needed(runs),
            "Regret of the best configuration that was tried, whether or not it looked best:",
            means(runs, "found"),
            tests(runs, "optuna-tpe", ["sampler"], "found"),
            against_field(runs, "found"),
            "Regret of what a Gaussian process over the runs takes for the best:",
            means(runs, "modelled"),
            tests(runs, "optuna-tpe", ["sampler"], "modelled"),
            against_field(runs, "modelled"),
            rates(runs),
            by_set(runs, ["optuna-tpe", *FIELD, "sampler", "hybrid:rules"]),
        ]
    return "\n\n".join(part.strip() for part in parts if part)
