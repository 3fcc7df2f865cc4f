"""A stand-in for your training program: it keeps the whole contract, and trains nothing.

Reads its hyperparameters, appends a line to metrics.jsonl for each epoch, writes results.json by
rename. Replace what lies between, or write your own in any language.
"""

import json
import math
import os
import sys
import time

task_file = sys.argv[1]
directory = os.path.dirname(os.path.abspath(task_file))
with open(task_file) as stream:
    task = json.load(stream)
chosen, epochs = task["hyperparameters"], task["budget"]["epochs"]

began, steps, accuracies, status = time.time(), [], [], "completed"
for epoch in range(1, epochs + 1):
    time.sleep(0.2)
    # Best at learning_rate = 0.01; better with more width; nearer to its end with each epoch.
    distance = abs(math.log10(chosen["learning_rate"]) + 2)
    accuracy = (1 - 0.3 * distance / 3) * (1 - math.exp(-epoch * chosen["width"] / 100))
    steps.append(epoch)
    accuracies.append(accuracy)
    with open(os.path.join(directory, "metrics.jsonl"), "a") as stream:
        line = {"step": epoch, "time": time.time() - began, "accuracy": accuracy}
        stream.write(json.dumps(line) + "\n")
    # Asked to end: another trial needs the time more, or a person cancelled this one.
    if os.path.exists(os.path.join(directory, "STOP")):
        status = "pruned"
        break

result = {
    "schema": 1,
    "status": status,
    "trial": task["trial"],
    "metrics": {},
    "curve": {"step": steps, "accuracy": accuracies},
    "seconds": time.time() - began,
}
with open(os.path.join(directory, "results.json.tmp"), "w") as stream:
    json.dump(result, stream)
os.replace(os.path.join(directory, "results.json.tmp"), os.path.join(directory, "results.json"))
