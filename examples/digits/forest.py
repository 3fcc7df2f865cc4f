"""A program that Pilothouse can tune and that knows nothing of Pilothouse: a forest on digits.

It keeps the file contract with nothing but `json`: it reads hyperparameters.json, appends a line to
metrics.jsonl for every ten trees, and writes results.json by rename when it is done.
"""

import json
import os
import sys
import time

from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.model_selection import train_test_split

FORESTS = {"random_forest": RandomForestClassifier, "extra_trees": ExtraTreesClassifier}


def main(path: str) -> None:
    """Train the forest that `path` asks for; the results go beside it."""
    with open(path) as stream:
        task = json.load(stream)
    os.chdir(os.path.dirname(os.path.abspath(path)))
    wanted = dict(task["hyperparameters"])
    forest = FORESTS[wanted.pop("forest")](
        n_estimators=0, warm_start=True, random_state=task["seed"], n_jobs=1, **wanted
    )
    # The split is the same for every trial: trials differ by their hyperparameters alone.
    images, digits = load_digits(return_X_y=True)
    images, held_out, digits, truth = train_test_split(
        images, digits, test_size=0.5, random_state=0, stratify=digits
    )
    began = time.monotonic()
    steps: list[int] = []
    accuracies: list[float] = []
    with open("metrics.jsonl", "a") as metrics:
        for trees in range(10, task["budget"]["trees"] + 1, 10):
            forest.set_params(n_estimators=trees)
            forest.fit(images, digits)
            steps.append(trees)
            accuracies.append(float(forest.score(held_out, truth)))
            line = {"step": trees, "time": time.monotonic() - began, "accuracy": accuracies[-1]}
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()
    result = {
        "schema": 1,
        "status": "completed",
        "trial": task["trial"],
        "metrics": {"final_accuracy": accuracies[-1]},
        "curve": {"step": steps, "accuracy": accuracies},
        "seconds": time.monotonic() - began,
        "hyperparameters": task["hyperparameters"],
    }
    with open("results.json.tmp", "w") as stream:
        json.dump(result, stream)
    os.rename("results.json.tmp", "results.json")


if __name__ == "__main__":
    main(sys.argv[1])
