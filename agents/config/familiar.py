"""What other tools call our keys and kinds, for those who write from habit. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# Optuna, Ray Tune, W&B sweeps, DeepHyper, sbatch, qsub: their word, ours, what to write.
_KEYS: dict[str, tuple[str, str]] = {
    "log": ("scale", "scale: log"),
    **dict.fromkeys(("min", "lower", "minimum"), ("low", "low")),
    **dict.fromkeys(("max", "upper", "maximum"), ("high", "high")),
    **dict.fromkeys(("range", "bounds", "interval"), ("low", "low and high")),
    **dict.fromkeys(("values", "options", "categories"), ("choices", "choices")),
    **dict.fromkeys(("q", "increment"), ("step", "step")),
    **dict.fromkeys(("condition", "conditions", "if"), ("when", "when")),
    "partition": ("queue", "queue"),
    **dict.fromkeys(("time", "time_limit", "timeout"), ("walltime", "walltime")),
    **dict.fromkeys(("mem", "ram", "mem_per_node"), ("memory", "memory")),
    **dict.fromkeys(("cpus_per_task", "ncpus", "cores"), ("cpus", "cpus")),
    **dict.fromkeys(("ntasks", "tasks_per_node", "mpiprocs"), ("tasks", "tasks")),
    **dict.fromkeys(("gres", "ngpus", "gpus_per_node"), ("gpus", "gpus, and gpu_type")),
    **dict.fromkeys(("project", "allocation"), ("account", "account")),
    **dict.fromkeys(("eta", "rf"), ("reduction_factor", "reduction_factor")),
    **dict.fromkeys(
        ("min_resource", "grace_period", "n_warmup_steps", "min_iter"),
        ("warmup_steps", "warmup_steps"),
    ),
    **dict.fromkeys(
        ("n_startup_trials", "min_samples_required"), ("startup_trials", "startup_trials")
    ),
    **dict.fromkeys(
        ("qos", "constraint", "reservation", "exclude", "nodelist", "filesystems", "select",
         "mail_user", "mail_type", "dependency", "licenses"),
        ("directives", "it as a line of directives"),
    ),
}  # fmt: skip
_KINDS = {
    **dict.fromkeys(("uniform", "real", "double", "number"), "float"),
    **dict.fromkeys(("loguniform", "log_uniform", "log_float", "log"), "float, with scale: log"),
    **dict.fromkeys(("quniform", "discrete_uniform"), "float, with step"),
    **dict.fromkeys(("integer", "randint", "int_uniform"), "int"),
    **dict.fromkeys(("lograndint", "log_int"), "int, with scale: log"),
    **dict.fromkeys(("choice", "bool", "boolean", "string", "str", "ordinal"), "categorical"),
    **dict.fromkeys(("constant", "const"), "fixed"),
    **dict.fromkeys(("asha", "hyperband", "successive_halving", "async_hyperband"), "halving"),
    **dict.fromkeys(("median_stopping", "medianstopping"), "median"),
}


def key_of(word: str, known: Sequence[str]) -> str | None:
    """What to write instead of a key that other tools have, where `known` has ours."""
    ours, wanted = _KEYS.get(word.replace("-", "_").lower(), ("", ""))
    return wanted if ours in known else None


def kind_of(word: object, known: Sequence[str]) -> str | None:
    """What to write instead of a kind that other tools have, where `known` has ours."""
    wanted = _KINDS.get(str(word).replace("-", "_").lower(), "")
    return wanted if wanted.partition(",")[0] in known else None
