"""Tables of what `run` kept: regret at so many epochs, and epochs for so many trials."""

import numpy as np
from scipy.stats import wilcoxon

from benchmarks.pruning import BUDGETS, EPOCHS

RESAMPLES = 4000
NOTHING = 1.0
"""Regret while nothing has completed: the table's median."""


class Fleet:
    """The searches of one number of workers and one time between polls, in pairs."""

    def __init__(self, records, fleet, arms):
        mine = [one for one in records if one["fleet"] == fleet]
        self.arms = arms or list(dict.fromkeys(one["arm"] for one in mine))
        by_arm = {
            arm: {(r["set"], r["seed"]): r for r in mine if r["arm"] == arm} for arm in self.arms
        }
        self.keys = sorted(set.intersection(*(set(runs) for runs in by_arm.values())))
        self.of = {arm: [runs[key] for key in self.keys] for arm, runs in by_arm.items()}
        first = self.of[self.arms[0]][0] if self.keys else {"regret": []}
        self.budgets = BUDGETS[: len(first["regret"])]

    def regret(self, arm):
        """A row for each search, a column for each budget."""
        rows = [[_told(value) for value in run["regret"]] for run in self.of[arm]]
        return np.array(rows)

    def after(self, arm):
        """Epochs and regret once so many trials have ended as whole ones would fit the budget."""
        pairs = [(run["after"][0], _told(run["after"][1])) for run in self.of[arm]]
        return np.array(pairs).T


def _told(value):
    return NOTHING if value is None else min(value, NOTHING)


def interval(values):
    """Bootstrap interval of the mean, 95%; the same draws each time."""
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    return np.quantile(values[draws].mean(axis=1), [0.025, 0.975])


def p_value(ours, theirs):
    return 1.0 if (ours == theirs).all() else float(wilcoxon(ours, theirs).pvalue)


def cell(values, baseline):
    low, high = interval(values)
    p = "" if baseline is None else f", p {p_value(values, baseline):.3f}"
    return f"{values.mean():.3f} ({low:.2f} to {high:.2f}{p})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def at_equal_epochs(fleet, base):
    rows = []
    for arm in fleet.arms:
        ours, theirs = fleet.regret(arm), fleet.regret(base)
        cells = [
            cell(mine, None if arm == base else yours)
            for mine, yours in zip(ours.T, theirs.T, strict=True)
        ]
        counts = [np.mean([run[what] for run in fleet.of[arm]]) for what in ("trials", "completed")]
        rows.append([arm, *cells, *(f"{count:.0f}" for count in counts)])
    return table(["arm", *(f"{b} epochs" for b in fleet.budgets), "trials", "completed"], rows)


def at_equal_trials(fleet, base):
    rows = []
    for arm in fleet.arms:
        (epochs, regret), (_, theirs) = fleet.after(arm), fleet.after(base)
        told = cell(regret, None if arm == base else theirs)
        rows.append([arm, f"{epochs.mean():.0f}", told])
    trials = fleet.budgets[-1] // EPOCHS
    return table(["arm", f"epochs of the first {trials} trials to end", "regret then"], rows)


def by_set(fleet):
    names = sorted({name for name, _ in fleet.keys})
    rows = []
    for name in names:
        chosen = [place for place, key in enumerate(fleet.keys) if key[0] == name]
        means = [fleet.regret(arm)[chosen].mean(axis=0) for arm in fleet.arms]
        rows.append([name, *(" / ".join(f"{value:.2f}" for value in mean[1:]) for mean in means)])
    budgets = " / ".join(map(str, fleet.budgets[1:]))
    return table([f"regret at {budgets} epochs", *fleet.arms], rows)


def report(records, arms=None):
    parts = []
    for name in dict.fromkeys(one["fleet"] for one in records):
        fleet = Fleet(records, name, arms)
        if not fleet.keys:
            continue
        workers, interval_ = name.split("/")
        base = "none" if "none" in fleet.arms else fleet.arms[0]
        parts += [
            f"## {workers} at a time, a poll every {interval_} epochs: {len(fleet.keys)} searches for each arm",
            f"Mean regret of the winner (95% interval, paired Wilcoxon test against `{base}`):",
            at_equal_epochs(fleet, base),
            at_equal_trials(fleet, base),
            by_set(fleet),
        ]
    return "\n\n".join(part.strip() for part in parts)
