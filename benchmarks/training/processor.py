"""The figures for a CPU: the embedded data set and the small network."""

from benchmarks.training.cases import Case, Run
from benchmarks.training.children import by_turns, child, reached

RECIPE_FLAGS = [
    "--policy", "trivialaugment", "--flip", "--label-smoothing", "0.1", "--ema", "0.99",
    "--schedule", "cosine", "--warmup-epochs", "1", "--weight-decay", "1e-4",
]  # fmt: skip
MEMORY = [
    ("cnn", 64), ("cnn", 1024), ("resnet18", 32), ("resnet18", 128), ("resnet34", 32),
    ("resnet50", 32), ("vgg16", 32), ("vgg16", 128), ("densenet121", 32),
]  # fmt: skip

Row = tuple[str, str, str, str]


def measure() -> list[Row]:
    """All rows of the table."""
    rows: list[Row] = []
    case = Case()
    for threads in ("1", "2"):
        ours, plain = by_turns(case, [], "plain", threads)
        rows += _compared(f"small CNN, {threads} thread(s)", ours, plain, "plain loop", "1.5 x")
        if threads == "2":
            rows.append(_first_step(ours, plain))
    rows += _cpu()
    ours, recipe = by_turns(case, RECIPE_FLAGS, "recipe", "2")
    rows += _compared("the recipe, 2 threads", ours, recipe, "torchvision's", "-")
    return rows + [_memory(model, batch) for model, batch in MEMORY]


def _compared(what: str, ours: list[Run], theirs: list[Run], name: str, aim: str) -> list[Row]:
    speeds = [[run.samples_per_second for run in runs] for runs in (ours, theirs)]
    own, other = map(max, speeds)  # what else the machine does only ever takes away
    ratios = sorted(a / b for a, b in zip(*speeds, strict=True))
    spread = (
        f"{own / other:.2f} x {name} ({other:.0f} samples/s); {ratios[0]:.2f} to {ratios[-1]:.2f}"
    )
    speed: Row = (what, f"{own:.0f} samples/s", spread, aim)
    target = f"{Case().target:.0%}"
    return [speed, (f"{what}, to {target}", reached(ours), f"{name}: {reached(theirs)}", "-")]


def _first_step(ours: list[Run], plain: list[Run]) -> Row:
    own, other = (min(run.first_step for run in runs) for runs in (ours, plain))
    return ("import to first step", f"{own:.2f} s", f"plain loop: {other:.2f} s", "-")


def _cpu() -> list[Row]:
    best = child("cpu", threads="1")
    return [
        (
            f"small CNN, 1 thread, {name}, by CPU time",
            f"{best[name]:.0f} samples/CPU s",
            f"{best[name] / best['plain']:.2f} x plain loop ({best['plain']:.0f} samples/CPU s)",
            aim,
        )
        for name, aim in (("fp32", "1.5 x"), ("bf16", "-"))
    ]


def _memory(model: str, batch: int) -> Row:
    case = Case(model=model, batch=batch, data="synthetic")
    before, peak = child("memory", case, threads="2")
    name = f"memory, {model}, batch {batch}"
    return (name, f"{peak:.0f} MiB", f"{before:.0f} MiB with nothing but torch and data", "-")
