"""All examinations, one after another. Each ends by itself, whatever hangs."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace

from agents.config import LoadedConfig
from agents.doctor.authentication import authentication_checks
from agents.doctor.batch import build_prober
from agents.doctor.check import Check, Doing, Outcome, failed, ok
from agents.doctor.disk import local_disk
from agents.doctor.endpoint import endpoint_checks
from agents.doctor.heard import heard
from agents.doctor.notification import notification_checks
from agents.doctor.prober import REQUEST, SCHEDULER
from agents.doctor.rehearsal import (
    COMMAND,
    PYTHON,
    question,
    rehearsal_of,
    rehearsal_script,
    start_checks,
)
from agents.doctor.remote import (
    CLOCK,
    DIRECTORY,
    LOOK_SECONDS,
    SPACE,
    Look,
    look_script,
    machine_checks,
    not_reached,
    read_look,
)
from agents.doctor.trial_job import JOB, job_checks
from agents.jobs import is_local
from agents.known_host import known_host_remedy, unknown_host
from agents.search import open_cluster
from agents.workspace import Workspace
from scheduler.cluster import Cluster
from scheduler.errors import Away, SchedulerError
from scheduler.resources import container_of
from scheduler.settings import SshTransportSettings

CONNECTION = "connection"
_AGAIN = "try again; if it stays so, a file system there or the account's start-up files hang"


@dataclass(frozen=True)
class Options:
    """What a person asks for beyond the usual."""

    job: bool = False
    """Send a tiny job through the batch system as well."""
    job_limit: float = 600.0
    """Seconds that it may take."""
    notify: bool = False
    """Tell people for a test."""


def examine(loaded: LoadedConfig, options: Options, doing: Doing) -> list[Check]:
    """All checks of a valid configuration, in the order in which a person would mend things."""
    settings = loaded.settings
    doing("this machine")
    found = [
        ok("configuration", f"{loaded.path}: valid"),
        local_disk(settings.directories.local_base),
    ]
    found += authentication_checks(settings, doing)
    found += endpoint_checks(settings, doing)
    found += notification_checks(loaded, doing, send=options.notify)
    return found + _cluster_checks(loaded, options, doing)


def _cluster_checks(loaded: LoadedConfig, options: Options, doing: Doing) -> list[Check]:
    nonce = secrets.token_hex(6)
    local_base = loaded.settings.directories.local_base
    rest = [CLOCK, DIRECTORY, SPACE, SCHEDULER, REQUEST, PYTHON, COMMAND]
    rest += [JOB] if options.job else []
    try:
        unknown = _unknown_host(loaded)
        if unknown is not None:
            return [unknown, *not_reached(rest, "the machine was not found")]
        cluster = open_cluster(loaded, Workspace(local_base / f".pilothouse-doctor-{nonce}"))
        doing(f"the machine where jobs are submitted ({cluster.transport.name})")
        try:
            look = _look(loaded, cluster, nonce)
            connection = _connected(loaded, look)
            return [connection, *_examined(loaded, cluster, look, nonce, options, doing)]
        finally:
            cluster.transport.close()
    except Away as error:
        there = failed(CONNECTION, str(error), error.remedy or _AGAIN)
    except SchedulerError as error:
        there = failed(CONNECTION, str(error), "mend cluster.transport")
    return [there, *not_reached(rest, "the machine was not reached")]


def _unknown_host(loaded: LoadedConfig) -> Check | None:
    """What there is to say where nobody knows the machine: that no login is the remedy."""
    transport = loaded.settings.cluster.transport
    if not isinstance(transport, SshTransportSettings):
        return None
    why = unknown_host(transport)
    if why is None:
        return None
    host = transport.host
    return failed(CONNECTION, f"cluster.transport.host {host}: {why}", known_host_remedy(host))


def _look(loaded: LoadedConfig, cluster: Cluster, nonce: str) -> Look:
    prober = build_prober(loaded.settings.cluster.batch_system)
    script = look_script(_base(loaded), prober, nonce)
    sent = time.time()
    done = cluster.transport.run(script, timeout=LOOK_SECONDS)
    return read_look(done.stdout, nonce, sent, time.time())


def _base(loaded: LoadedConfig) -> str:
    """Where run directories lie on the machine where jobs are submitted, as it is configured."""
    settings = loaded.settings
    remote = settings.cluster.remote_base
    if is_local(settings) or remote is None:
        return str(settings.directories.local_base)
    return remote.rstrip("/") or "/"


def _connected(loaded: LoadedConfig, look: Look) -> Check:
    transport = loaded.settings.cluster.transport
    who = look.seen["who"].text if "who" in look.seen else "there"
    if isinstance(transport, SshTransportSettings):
        from scheduler.transports.ssh_master import Master

        return ok(CONNECTION, f"{who}; {Master(transport).check()}")
    return ok(CONNECTION, f"{transport.kind}, as {who}")


def _examined(
    loaded: LoadedConfig, cluster: Cluster, look: Look, nonce: str, options: Options, doing: Doing
) -> list[Check]:
    settings = loaded.settings
    prober = build_prober(settings.cluster.batch_system)
    scheduler = prober.scheduler(look.seen)
    found = [*machine_checks(look, _base(loaded)), scheduler]
    rest = [REQUEST, PYTHON, COMMAND, *([JOB] if options.job else [])]
    if look.base is None or look.near is None:
        return [*found, *not_reached(rest, "the directory cannot be written")]
    # The rehearsal's directory must not make the base, which may not exist yet.
    directory = f"{look.near.rstrip('/')}/.pilothouse-doctor-{nonce}"
    cluster.root = directory
    doing("the job script")
    try:
        rehearsal = rehearsal_of(settings, directory, nonce)
        requests = {REQUEST: rehearsal.request}
        requests |= {f"{REQUEST} ({when})": one for when, one in rehearsal.others.items()}
        texts = [cluster.render(request) for request in requests.values()]
    except SchedulerError as error:
        found.append(failed(REQUEST, str(error), "mend cluster.resources or cluster.template"))
        return [*found, *not_reached(rest[1:], "there is no job script")]
    container = container_of(settings.cluster.container)
    answers = scheduler.outcome is not Outcome.FAILED
    script = rehearsal_script(
        texts, look.near, directory, prober, nonce, answers=answers, container=container
    )
    said = heard(cluster.transport.run(script, timeout=LOOK_SECONDS).stdout, nonce)
    for place, (name, request) in enumerate(requests.items()):
        check = prober.request(look.seen, said.get(question(place)), request.resources)
        found.append(replace(check, name=name))
    found += start_checks(said, rehearsal, settings)
    if options.job:
        cluster.root = f"{look.base.rstrip('/')}/.pilothouse-doctor-{nonce}"
        real = rehearsal_of(settings, cluster.root, nonce)
        limit = options.job_limit
        found += job_checks(cluster, real, settings, look.near, limit, doing)
    return found
