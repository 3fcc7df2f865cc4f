"""Real training instead of a table: scikit-learn's support vector machine on its digits."""

import numpy as np

from benchmarks.hybrid.tables import FAMILIES, Task

PICTURES = 200
"""For one training, other ones for each seed; so few that a configuration matters."""
JUDGES = 897
"""Pictures that are in no training."""
TRUTH = 6
"""Trainings with other seeds whose mean is taken for the truth."""


class Digits(Task):
    """Regret: the error over that of the default."""

    def __init__(self, folder, name):
        from sklearn.datasets import load_digits

        self.name, self.family_name, self.family = name, "svm", FAMILIES["svm"]
        pictures, digits = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(digits))
        self._pictures, self._digits = pictures[order] / 16.0, digits[order]
        self._known = {}
        self.sign, self.best = 1.0, 1.0
        self.scale = 1.0 - self.true(self.family.default)

    def _trained(self, point, seed):
        from sklearn.svm import SVC

        key = (*sorted(point.items()), seed)
        if key not in self._known:
            pool = np.arange(JUDGES, len(self._digits))
            chosen = np.random.default_rng(seed).choice(pool, PICTURES, replace=False)
            machine = SVC(**point).fit(self._pictures[chosen], self._digits[chosen])
            score = machine.score(self._pictures[:JUDGES], self._digits[:JUDGES])
            self._known[key] = float(score)
        return self._known[key]

    def true(self, point):
        return float(np.mean([self._trained(point, 1000 + n) for n in range(TRUTH)]))

    def seen(self, point, chance):
        return self._trained(point, chance.randrange(1000))
