"""The least that a training program has to do: read hyperparameters.json, write results.json.

Needs nothing but Python. Put your training where `score` is computed.
"""

import json
import os
import sys
import time


def main(path: str) -> None:
    """Train with the hyperparameters in `path`; files go beside it."""
    began = time.monotonic()
    os.chdir(os.path.dirname(os.path.abspath(path)))
    with open(os.path.basename(path)) as stream:
        task = json.load(stream)
    values, epochs = task["hyperparameters"], task["budget"].get("epochs", 3)
    score = None
    for epoch in range(1, epochs + 1):
        score = (values["x"] - 1) ** 2 + (values["y"] + 0.5) ** 2 + 1 / epoch
        # One line an epoch, so that a running trial can be followed.
        with open("metrics.jsonl", "a") as stream:
            line = {"step": epoch, "time": time.monotonic() - began, "score": score}
            stream.write(json.dumps(line) + "\n")
    result = {
        "schema": 1,
        "status": "completed",
        "trial": task["trial"],
        "metrics": {"score": score},
        "seconds": time.monotonic() - began,
    }
    # Written under another name and renamed: nobody ever reads half a result.
    with open("results.json.tmp", "w") as stream:
        json.dump(result, stream)
    os.replace("results.json.tmp", "results.json")


if __name__ == "__main__":
    main(sys.argv[1])
