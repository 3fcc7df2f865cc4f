"""Does ending weak trials early pay? Measured on curves of real trainings.

    pip download --no-deps river==0.22.0 -d WHEEL
    python -m benchmarks.pruning build CURVES --wheel WHEEL/river-0.22.0-*.whl
    python -m benchmarks.pruning run CURVES --part development --out runs.jsonl
    python -m benchmarks.pruning report runs.jsonl

`build` trains 768 configurations of a small network for 40 epochs, three seeds of each, on each data
set: on one core in some minutes. A search is played in simulated time: the default sampler
proposes, an epoch takes its time, polls come at intervals and see what has been written by then, and
`agents.pruning` decides. A trial sees one of the three trainings of its configuration; the score is
the *true mean* of the configuration whose completed trial looks best so far, as regret: 0 is the
table's best, 1 is the table's median. What is spent is counted in epochs, also of those that run on
between the poll that asks a trial to end and the end of its epoch.

The split was frozen before the first run: whatever is tuned is tuned on `DEVELOPMENT`; `HELD_OUT`
is looked at once, at the end, with seeds that nothing else used.
"""

DEVELOPMENT = ("digits", "breast_cancer", "phishing", "hastie", "classification")
"""The first three are real, the others made by scikit-learn."""
HELD_OUT = ("segments", "bananas", "wine", "gaussian_quantiles", "noisy_classification")
PARTS = {"development": DEVELOPMENT, "held-out": HELD_OUT}
FIRST_SEED = {"development": 0, "held-out": 1_000_000}
METRICS = {"accuracy": "maximize", "loss": "minimize"}
"""Of the last epoch, on data that are not trained on. Each is an objective of its own."""
EPOCHS = 40
BUDGETS = (200, 400, 800, 1600)
"""Epochs: those of 5, 10, 20 and 40 whole trials."""
