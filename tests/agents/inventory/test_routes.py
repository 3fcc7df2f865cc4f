"""PBS routes: queues that pass jobs on to others, which nobody can ask for by name."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from agents.commands.resources import _queue_table
from agents.detect import choices
from agents.detect.choices import Wishes, queue_of
from agents.doctor.heard import Word
from agents.doctor.pbs import PbsProber
from agents.errors import ConfigurationError
from agents.inventory import pbs
from agents.inventory.advice import advice
from agents.inventory.guesses import guesses
from scheduler.job import Resources
from scheduler.settings import PbsBatchSettings

# As Polaris has them: prod is the default, and leads to queues by the number of nodes.
LIMITS = {
    "prod": {"queue_type": "Route", "route_destinations": "small,medium@pbs"},
    "small": {"from_route_only": "True", "resources_min.nodect": "10",
              "resources_max.nodect": "24", "resources_max.walltime": "03:00:00"},
    "medium": {"from_route_only": "True", "resources_min.nodect": "25",
               "resources_max.walltime": "06:00:00"},
    "debug": {"resources_max.nodect": "2", "resources_max.walltime": "01:00:00"},
    "workq-route": {"queue_type": "Route", "route_destinations": "prod"},
    "secret-route": {"queue_type": "Route"},
}  # fmt: skip
OPEN = {"queue_type": "Execution", "enabled": "True", "started": "True"}
QUEUES = {name: {**OPEN, **own} for name, own in LIMITS.items()}
NODES = "\n".join(
    f"Name=x{n}|state=free|resources_available.ncpus=64|resources_available.ngpus=4"
    for n in range(30)
)


def known(**changes):
    rows = {name: {**row, **changes.get(name, {})} for name, row in QUEUES.items()}
    text = "\n".join(
        "|".join([f"Queue: {name}", *(f"{key}={value}" for key, value in row.items())])
        for name, row in rows.items()
    )
    words = {"me": "ada", "server": "Server: s|default_queue=prod", "queues": text,
             "nodes": NODES, "jobs": ""}  # fmt: skip
    return pbs.read({name: Word(0, text) for name, text in words.items()})


def asked(queue, nodes=1, hours=1):
    return Resources(queue=queue, nodes=nodes, walltime_seconds=hours * 3600, gpus=4)


def said(inventory, request):
    inventory = replace(inventory, starts=guesses(inventory, request, 0.0))
    return advice(inventory, request, [], 0.0)


def test_a_route_is_a_queue_without_nodes_of_its_own():
    found = known()
    prod = found.queue("prod")
    assert (prod.nodes, prod.leads_to, prod.is_default) == (0, ("small", "medium"), True)
    assert [q.name for q in found.places(["workq-route"])] == ["small", "medium"]
    assert [q.name for q in found.places(["debug"])] == ["debug"]
    assert found.offered == ["prod", "debug", "workq-route", "secret-route"]


def test_routes_in_circles_lead_nowhere():
    circles = known(prod={"route_destinations": "workq-route"})
    assert circles.places(["prod"]) == []


def test_init_offers_routes_and_no_queue_behind_one():
    found = known()
    for name in ("prod", "workq-route"):
        choice = queue_of(Wishes(queue=name), found, None)
        assert (choice.value, choice.why) == (name, "as you said; it takes 10 nodes at least")
    assert queue_of(Wishes(queue="debug"), found, None).why == "as you said"
    default = queue_of(Wishes(), found, None)
    assert default.value == "prod"
    assert default.why.endswith("; also open: debug, workq-route, secret-route")
    with pytest.raises(ConfigurationError, match="--queue small: it takes jobs from a route alone"):
        queue_of(Wishes(queue="small"), found, None)
    assert choices.size_of(Wishes(), choices.strictest(default, found)) == (16, 1)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (asked("prod"), "queue prod: small: it takes 10 to 24 nodes; medium: it takes 25 nodes at"),
        (asked("prod"), "queue small takes 10 to 24 nodes: see cluster.resources.nodes (1)"),
        (asked("small", 10), "queue small takes jobs from a route alone: set cluster.resources.queue "
                             "to one of prod"),
        (asked("debug", 4), "queue debug takes 2 nodes at most"),
        (asked("nosuch"), "one of prod, debug, workq-route, secret-route"),
        (asked("prod", 25, 8), "queue medium allows 6 h"),
    ],
)  # fmt: skip
def test_advice_looks_through_a_route(request_, words):
    lines = said(known(), request_)
    assert any(words in line for line in lines), lines


def test_a_route_that_leads_to_one_that_takes_the_job_is_well():
    assert said(known(), asked("prod", 10)) == [
        "first start: queue prod, now (a guess, from how long others waited)"
    ]
    assert not any("secret-route" in line for line in said(known(), asked("secret-route"))[1:])


def test_a_start_now_needs_as_many_nodes_as_are_asked_for():
    starts = guesses(known(), asked("prod", 31), 0.0)
    assert all(start.starts_at is None for start in starts)


def test_a_table_says_where_a_route_leads():
    for width in (200, 60):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(_queue_table(known(), width))
        text = console.export_text()
        assert "leads to small, medium" in text
        assert "small (by a route alone)" in text


@pytest.mark.parametrize(
    ("request_", "outcome", "words", "remedy"),
    [
        (asked("prod", 10), "ok", "the queue prod passes jobs on", ""),
        (asked("workq-route", 10), "ok", "passes jobs on", ""),
        (asked("prod", 30, 5), "ok", "passes jobs on", ""),
        (asked("secret-route"), "ok", "passes jobs on", ""),
        (asked(None, 10), "ok", "the queue prod passes", ""),
        (asked("prod"), "failed", "small wants at least 10 nodes, and the job asks for 1; the queue "
                                  "medium wants at least 25", "another queue: debug"),
        (asked("prod", 20, 5), "failed", "small allows 03:00:00", "lower cluster.resources.walltime"),
        (asked("small", 10), "failed", "takes jobs from a route alone", "one of: prod"),
        (asked("debug", 4), "failed", "debug allows 2 nodes, and the job asks for 4", "lower"),
        (asked("debug", 2), "ok", "debug takes and starts jobs", ""),
        (asked("nosuch"), "failed", "no queue nosuch", "one of: prod, debug, workq-route, secret-"),
    ],
)  # fmt: skip
def test_the_doctor_looks_through_a_route(request_, outcome, words, remedy):
    check = doctor(QUEUES, request_)
    assert check.outcome.value == outcome, check
    assert words in check.seen
    assert remedy in check.remedy


def doctor(queues, request_):
    text = "\n".join(
        "\n".join([f"Queue: {name}", *(f"    {key} = {value}" for key, value in row.items())])
        for name, row in queues.items()
    )
    server = "Server: s\n    server_state = Active\n    default_queue = prod\n"
    seen = {"server": Word(0, server), "queues": Word(0, text)}
    return PbsProber(PbsBatchSettings(kind="pbs")).request(seen, None, request_)


def test_a_route_to_stopped_queues_alone_starts_no_job():
    queues = {**QUEUES, "small": {**QUEUES["small"], "started": "False"}}
    check = doctor(queues, asked("prod", 10))
    assert check.outcome.value == "warning"
    assert check.seen == (
        "the queue prod, which leads to small, takes jobs and starts none (started = False)"
    )
    assert "other queues: debug, " in check.remedy
    assert doctor(queues, asked("prod", 25)).outcome.value == "ok"
    # Where a route leads to queues that are not shown, nothing is known of them.
    queues["prod"] = {**QUEUES["prod"], "route_destinations": "small,unseen"}
    assert doctor(queues, asked("prod", 10)).outcome.value == "ok"
    queues["prod"] = {**QUEUES["prod"], "started": "False"}
    assert "queue prod takes jobs and starts none" in doctor(queues, asked("prod", 25)).seen


def test_a_start_behind_a_route_waits_for_a_queue_that_opens():
    inventory = known(small={"started": "False"})
    [start] = [
        start for start in guesses(inventory, asked("prod", 10), 0.0) if start.queue == "prod"
    ]
    assert start.words == "small: it is closed; medium: it takes 25 nodes at least"
