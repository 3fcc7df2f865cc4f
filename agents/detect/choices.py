"""From what was seen, and what a person says, to what a configuration needs. Pure but for asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.detect.machine import Machine
from agents.errors import ConfigurationError
from agents.inventory import Inventory, Queue, names_of

Ask = Callable[[str, str, Sequence[str], str | None], str]
"""``ask(option, question, choices, default)``: a person's answer, or an error that names the option."""

COMMON_WALLTIME_SECONDS = 3600


@dataclass(frozen=True)
class Wishes:
    """What a person has said by options; None: find out."""

    queue: str | None = None
    account: str | None = None
    base: str | None = None
    python: str | None = None
    walltime: int | None = None
    cpus: int | None = None
    gpus: int | None = None


@dataclass(frozen=True)
class Choice:
    """A value, and why it is the one."""

    value: str | None
    why: str


def queue_of(wishes: Wishes, inventory: Inventory, ask: Ask) -> Choice:
    """The queue: as said, the default, the only open one, or asked for."""
    open_ones = [queue.name for queue in inventory.queues if queue.is_offered]
    if wishes.queue is not None:
        unknown = [name for name in names_of(wishes.queue) if inventory.queue(name) is None]
        if inventory.queues and unknown:
            raise ConfigurationError(
                f"--queue {','.join(unknown)}: there are {', '.join(inventory.offered)}"
            )
        _check_reach(names_of(wishes.queue), inventory)
        return Choice(wishes.queue, "as you said" + _bounds(wishes.queue, inventory))
    default = next((q.name for q in inventory.queues if q.is_default and q.is_open), None)
    others = ", ".join(name for name in open_ones if name != default)
    if default is not None:
        also = f"; also open: {others}" if others else ""
        return Choice(default, f"the default{_bounds(default, inventory)}{also}")
    if len(open_ones) == 1:
        return Choice(open_ones[0], "the only one that is open")
    if not open_ones:
        return Choice(None, "none was found: the scheduler's default")
    answer = ask("--queue", "Which queue?", open_ones, None)
    return Choice(answer, f"as you said; open: {', '.join(open_ones)}")


def _check_reach(names: Sequence[str], inventory: Inventory) -> None:
    for queue in inventory.named(names):
        if queue.by_route_only:
            raise ConfigurationError(
                f"--queue {queue.name}: it takes jobs from a route alone; there are "
                f"{', '.join(inventory.routes_to(queue.name) or inventory.offered)}"
            )


def _bounds(names: str, inventory: Inventory) -> str:
    """What a job there must be like; an `init` asks for one node."""
    places = inventory.places(names_of(names))
    if any(place.takes_nodes(1) for place in places):
        return ""
    fewest = min((place.fewest_nodes or 1 for place in places), default=1)
    return f"; it takes {fewest} nodes at least" if fewest > 1 else ""


def strictest(choice: Choice, inventory: Inventory) -> Queue | None:
    """Of several chosen queues the one with the shortest limit: what it allows, the others do."""
    known = inventory.places(names_of(choice.value or ""))
    return min(known, key=lambda queue: queue.longest_seconds or float("inf"), default=None)


def account_of(wishes: Wishes, inventory: Inventory, ask: Ask) -> Choice:
    """The account: as said, the only one, or asked for; none where the scheduler knows none."""
    if wishes.account is not None:
        return Choice(_named(wishes.account), "as you said")
    known = list(inventory.accounts)
    if known and inventory.batch == "pbs":
        answer = ask("--account", "Which project pays (- for none)?", known, known[0])
        why = f"that of your last jobs: {', '.join(known)}"
        return Choice(_named(answer), why)
    if len(known) == 1:
        return Choice(known[0], "the only one that you have")
    if known:
        return Choice(
            ask("--account", "Which account pays?", known, known[0]), f"yours: {', '.join(known)}"
        )
    if inventory.batch == "pbs":
        answer = ask("--account", "Which project pays (- for none)?", [], "-")
        return Choice(_named(answer), "as you said")
    return Choice(None, "the scheduler keeps no accounts")


def _named(account: str) -> str | None:
    """The account, where it is not the word for none."""
    return None if account == "-" else account


def base_of(wishes: Wishes, machine: Machine) -> Choice:
    """Where runs lie on the cluster."""
    if wishes.base is not None:
        return Choice(wishes.base, "as you said")
    if machine.scratch is not None:
        return Choice(f"{machine.scratch.rstrip('/')}/pilothouse", "your scratch directory")
    return Choice(f"{machine.home.rstrip('/')}/pilothouse", "your home: no scratch was found")


def python_of(wishes: Wishes, machine: Machine) -> Choice:
    """The Python that runs the program."""
    if wishes.python is not None:
        return Choice(wishes.python, "as you said")
    if machine.python is None:
        raise ConfigurationError(
            f"no python3 on {machine.host}: give --python PATH of the one that runs your program"
        )
    why = f"the {machine.host} one, {machine.python_version}; your program's environment may be another"
    return Choice(machine.python, why)


def walltime_of(wishes: Wishes, queue: Queue | None) -> str:
    """An hour, or as long as the queue allows, as ``HH:MM:SS``."""
    longest = queue.longest_seconds if queue else None
    seconds = wishes.walltime or min(COMMON_WALLTIME_SECONDS, longest or COMMON_WALLTIME_SECONDS)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def size_of(wishes: Wishes, queue: Queue | None) -> tuple[int, int]:
    """Cores and GPUs of a trial: one GPU and its share of the node's cores, where there are any."""
    gpus = wishes.gpus
    per_node = 0
    if queue is not None and queue.gpus and queue.nodes:
        per_node = max(1, sum(each.total for each in queue.gpus) // queue.nodes)
    if gpus is None:
        gpus = 1 if per_node else 0
    if wishes.cpus is not None:
        return wishes.cpus, gpus
    if queue is None or not queue.cpus:
        return 1, gpus
    return max(1, queue.cpus * max(1, gpus) // per_node if per_node else min(4, queue.cpus)), gpus


def memory_of(queue: Queue | None, cpus: int) -> str | None:
    """The share of a node's memory that goes with the cores; None where Slurm does not count memory
    (it then says 1 MB), or it is not known. What a site gives unasked is often a GiB or two a core."""
    if queue is None or not queue.cpus:
        return None
    share = queue.memory_mb * min(cpus, queue.cpus) // queue.cpus
    return f"{share // 1024}G" if share >= 1024 else None
