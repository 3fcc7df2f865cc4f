"""A search from its beginning, or from where it was left, to its end."""

from __future__ import annotations

import secrets
import shlex
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import yaml

from agents.aboard import files_changed, take_aboard
from agents.bell import Bell
from agents.config import LoadedConfig
from agents.config.model import Settings
from agents.config.references import names
from agents.confirm import Confirmed, confirmed, winner
from agents.earlier import earlier_trials
from agents.errors import ConfigurationError, LedgerError, NewerLedger, UnexpectedError
from agents.flight import Flight
from agents.graph import Position, run_graph
from agents.helm import Helm
from agents.interrupts import Interrupts
from agents.jobs import is_local
from agents.journal import Journal
from agents.ledger import Ledger
from agents.no_room import Files, no_room
from agents.nodes import SearchNodes
from agents.notify import Notifier
from agents.paperwork import Paperwork
from agents.patience import Patience
from agents.proposers import Proposer
from agents.proposers.build import build_proposer
from agents.provenance import environment, git_state
from agents.pulse import pulse
from agents.schedule import current_iteration
from agents.screen import Screen
from agents.space import SearchSpace
from agents.tradeoff import on_the_front
from agents.trial import Trial
from agents.unattended import Unattended
from agents.workspace import Workspace
from scheduler.batch import build_batch_system
from scheduler.cluster import Cluster
from scheduler.job import Cause, JobState
from scheduler.transports import open_transport
from training.contract import PilothouseError

FILES_CHANGED = (
    "  Files of Pilothouse itself have changed since it was started (a pull, an update?): that may be "
    "why, and what goes on begins with the new ones.\n"
)


def way_on(workspace: Workspace) -> str:
    """What is said of a search that broke off."""
    where = shlex.quote(str(workspace.directory))
    return f"Jobs go on, nothing is lost;\n  to go on: python -m agents.run --resume {where}"


def _gone(workspace: Workspace) -> str:
    """What is said where the run's directory was taken away under a search."""
    return (
        f"{workspace.directory} is not there any more, or not as it was: somebody deleted or moved it while the "
        "search worked in it, or its file system is away. Jobs go on.\n"
        "  where it was moved, or is back: python -m agents.run --resume DIR, with the place where it is\n"
        "  where it was deleted: its trials are lost with it; end its jobs, and start a new run"
    )


@dataclass(frozen=True)
class Search:
    """One run that is open in this process."""

    workspace: Workspace
    flight: Flight
    nodes: SearchNodes
    ledger: Ledger
    paperwork: Paperwork
    journal: Journal
    loaded: LoadedConfig
    notifier: Notifier

    def run(self) -> None:
        """Run it to its end. Raises Interrupted where a signal asks to leave; then go on later."""
        loop = self.loaded.settings.loop
        start = current_iteration(self.ledger.trials(), loop)
        position: Position = {
            "iteration": start,
            "in_flight": self.flight.numbers(),
            "stop": None,
        }
        try:
            with pulse(self.workspace.progress_file):
                run_graph(
                    self.nodes,
                    self.workspace.graph_file,
                    self.workspace.first_name,
                    position,
                    self.nodes.announcements.notice,
                )
        except PilothouseError:
            raise
        except Exception as error:  # a full disk, a broken database, a defect of ours
            self.journal.event("unexpected", "error", traceback=traceback.format_exc())
            full = no_room(
                error, Files.of(self.workspace, self.loaded.settings), way_on(self.workspace)
            )
            if full is not None:
                raise full from error
            if self.workspace.experiment is None:
                raise UnexpectedError(_gone(self.workspace)) from error
            raise UnexpectedError(
                f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}\n"
                f"{FILES_CHANGED if files_changed() else ''}"
                f"  The traceback is in {self.workspace.log_file}. {way_on(self.workspace)}"
            ) from error

    def summary(self) -> Ending:
        """What there is to say at the end."""
        known = self.nodes.view()
        elapsed, reason = self.paperwork.elapsed(), self.paperwork.stop_sentence
        front = [] if known.second is None else on_the_front(known)
        began = any(
            trial.failure is None or trial.failure.cause not in _NEVER_BEGAN
            for trial in known.trials
        )
        return Ending(known.metric, winner(known), elapsed, reason, confirmed(known), front, began)


_NEVER_BEGAN = (Cause.REFUSED, Cause.CANNOT_START)


@dataclass(frozen=True)
class Ending:
    """The end of a search in a few words."""

    metric: str
    best: Trial | None
    elapsed: float
    stop_reason: str | None
    confirmed: Sequence[Confirmed] = ()
    """What came of running the best trials again, the winner first."""
    front: Sequence[Trial] = ()
    """With two objectives the trials that no other one beats in both."""
    began: bool = True
    """Whether the training program of any trial came to run."""


@dataclass(frozen=True)
class Run:
    """A run directory that is open in this process alone: its ledger, jobs and papers."""

    workspace: Workspace
    loaded: LoadedConfig
    journal: Journal
    ledger: Ledger
    patience: Patience
    flight: Flight
    paperwork: Paperwork


@contextmanager
def open_run(
    loaded: LoadedConfig,
    workspace: Workspace,
    interrupts: Interrupts,
    log_level: str = "info",
    patience: type[Patience] = Patience,
) -> Iterator[Run]:
    """Open a run, new or not, for this process alone. `patience`: what to do while the world is away.

    Raises RunLocked, LedgerError, ConfigurationError.
    """
    settings = loaded.settings
    space = SearchSpace.build(settings.search_space, settings.constraints)
    with ExitStack() as stack:
        lock = workspace.lock()
        stack.callback(lock.release)
        journal = Journal(workspace.log_file, log_level)
        stack.callback(journal.close)
        ledger = _open_ledger(settings, workspace, space)
        stack.callback(ledger.close)
        ledger.still_ours = lock.check
        _note_beginning(ledger, loaded)
        cluster = open_cluster(loaded, workspace)
        stack.callback(cluster.transport.close)
        poll = settings.cluster.poll
        waits = patience(interrupts, journal, poll.floor, poll.ceiling)
        token = ledger.attributes()["token"]
        flight = Flight(settings, workspace, ledger, cluster, waits, journal, token)
        paperwork = Paperwork(settings, workspace, ledger, loaded.resolved)
        journal.event("opened", directory=str(workspace.directory), trials=len(ledger.trials()))
        yield Run(workspace, loaded, journal, ledger, waits, flight, paperwork)


def _open_ledger(settings: Settings, workspace: Workspace, space: SearchSpace) -> Ledger:
    url = settings.ledger.storage or f"sqlite:///{workspace.study_file}"
    direction, begun = settings.objective.direction, workspace.has_begun
    try:
        return Ledger.open(url, workspace.first_name, direction, space, has_begun=begun)
    except LedgerError as error:
        if not begun or isinstance(error, NewerLedger):
            raise
        raise LedgerError(
            f"{error}\n  to save what other files tell: python -m agents.run report "
            f"{shlex.quote(str(workspace.directory))}"
        ) from error


@contextmanager
def open_search(
    loaded: LoadedConfig,
    workspace: Workspace,
    screen: Screen,
    interrupts: Interrupts,
    log_level: str = "info",
) -> Iterator[Search]:
    """Open a run, new or not, for this process alone.

    Raises RunLocked, LedgerError, ConfigurationError.
    """
    with open_run(loaded, workspace, interrupts, log_level) as run:
        unattended = Unattended(workspace, run.ledger, is_local=is_local(loaded.settings))
        unattended.begin(datetime.now(UTC))
        helm = Helm(loaded, workspace, run.ledger, run.journal)
        helm.tried = lambda left: _proposer(helm, workspace, interrupts, left)
        nodes = SearchNodes(
            workspace,
            run.ledger,
            helm,
            lambda helm: _proposer(helm, workspace, interrupts, helm.allowed),
            run.flight,
            run.patience,
            run.paperwork,
            screen,
            run.journal,
            interrupts,
            _earlier(loaded.settings, helm.space, workspace, screen, run.paperwork),
        )
        interrupts.first_rest = lambda: _take_aboard(run.journal)
        nodes.looked = lambda: unattended.settle(_going_on(run.flight))
        with (
            closing(_notifier(loaded, workspace, screen, run.journal)) as notifier,
            _bell(helm.settings, workspace, screen, run.journal) as bell,
        ):
            nodes.shown, nodes.announcements.noticed = notifier.show, notifier.notice
            if bell is not None:
                run.flight.submitting.bell, nodes.rung = bell.url, bell.rung
            yield Search(
                workspace,
                run.flight,
                nodes,
                run.ledger,
                run.paperwork,
                run.journal,
                helm.loaded,
                notifier,
            )


def _take_aboard(journal: Journal) -> None:
    take_aboard()
    journal.event("aboard", "debug")


def _earlier(
    settings: Settings,
    space: SearchSpace,
    workspace: Workspace,
    screen: Screen,
    paperwork: Paperwork,
) -> Sequence[Trial]:
    found = earlier_trials(settings, space, workspace.directory)
    for line in found.said:
        screen.say(line, important=True)
        paperwork.notice(line)
    return found.trials


def _notifier(
    loaded: LoadedConfig, workspace: Workspace, screen: Screen, journal: Journal
) -> Notifier:
    settings = loaded.settings
    return Notifier(
        settings.notify,
        settings.experiment.id,
        workspace.directory,
        journal,
        screen.say,
        hidden=keys(loaded),
    )


@contextmanager
def _bell(
    settings: Settings, workspace: Workspace, screen: Screen, journal: Journal
) -> Iterator[Bell | None]:
    """The bell, where one is asked for. Without it the search goes on all the same, and says so."""
    wanted = settings.cluster.poll.bell
    if wanted is None:
        yield None
        return
    try:
        bell = Bell(wanted, workspace.directory)
    except OSError as error:
        why = f"cluster.poll.bell.listen: {wanted.listen}: {error.strerror or error}"
        screen.say(f"note: {why}; jobs cannot ring, their ends are seen by polls alone")
        journal.event("no_bell", "warning", why=why)
        yield None
        return
    journal.event("bell", listen=wanted.listen)
    try:
        yield bell
    finally:
        bell.close()


def _going_on(flight: Flight) -> list[str]:
    """The names of the jobs that were waiting or running at the last poll."""
    return [
        trial.job.name
        for trial in flight.watched()
        if trial.job is not None
        and flight.watch.state(trial) in (JobState.QUEUED, JobState.RUNNING)
        and not flight.watch.is_gone(trial)
    ]


def _proposer(
    helm: Helm, workspace: Workspace, interrupts: Interrupts, allowed: SearchSpace
) -> Proposer:
    """The proposer, made anew where people have changed what it rests on. May raise
    ConfigurationError."""
    return build_proposer(helm.settings, helm.space, workspace.exchanges, allowed, interrupts.sleep)


def open_cluster(loaded: LoadedConfig, workspace: Workspace) -> Cluster:
    """The cluster of a configuration, with the run's directory on it. Connects to nothing yet."""
    settings = loaded.settings.cluster
    base = settings.remote_base or str(workspace.directory.parent)
    name = workspace.first_name
    if settings.transport.kind != "local" and settings.remote_base is None:
        raise ConfigurationError(
            f"{loaded.path}: cluster.remote_base is missing: with transport "
            f"{settings.transport.kind}, name a directory on the cluster for the runs"
        )
    if is_local(loaded.settings):
        base, name = str(workspace.directory.parent), workspace.name
    return Cluster(
        open_transport(settings.transport, connect=connect_command(loaded), hidden=keys(loaded)),
        build_batch_system(settings.batch_system),
        base,
        name,
        settings.template,
    )


def connect_command(loaded: LoadedConfig) -> str:
    """What a person types to open the connection to the cluster: in any terminal, so with the whole
    path."""
    return f"python -m agents.run connect --config {shlex.quote(str(loaded.path.absolute()))}"


def keys(loaded: LoadedConfig) -> list[str]:
    """Names of environment variables that are the orchestrator's alone: the LLM's key, and what the
    addresses of the LLM and of the ledger refer to. What jobs are given by name is theirs too."""
    written = yaml.safe_load(loaded.resolved)
    addresses = (written.get("llm", {}).get("base_url"), written["ledger"].get("storage"))
    found = [name for address in addresses for name in names(str(address))]
    key = loaded.settings.llm.api_key_env
    return [one for one in (key, *found) if one and one not in loaded.settings.cluster.environment]


def _note_beginning(ledger: Ledger, loaded: LoadedConfig) -> None:
    """Keep what is true of the whole run with its study, once; a resumed run finds it there."""
    kept = ledger.attributes()
    facts = {
        "started_at": datetime.now(UTC).isoformat(),
        "token": secrets.token_hex(3),
        "environment": environment(),
        "git": git_state(loaded.path.absolute().parent),
    }
    for name, value in facts.items():
        if name not in kept:
            ledger.set_attribute(name, value)
