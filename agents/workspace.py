"""The run directory: its layout, and how it is found again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from agents.config.model import DirectorySettings
from agents.errors import ConfigurationError
from agents.home import expanded
from agents.progress import SCHEMA
from agents.run_lock import RunLock, is_held
from training.contract import to_json_bytes, write_atomically

CARD_FILE = "run.json"
LOCK_FILE = "run.lock"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Workspace:
    """Paths of one run directory on the orchestrator's side."""

    directory: Path
    """Absolute."""

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def config_file(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def study_file(self) -> Path:
        return self.directory / "study.db"

    @property
    def graph_file(self) -> Path:
        return self.directory / "graph.db"

    @property
    def log_file(self) -> Path:
        return self.directory / "logs" / "run.jsonl"

    @property
    def screen_file(self) -> Path:
        """What a search in the background says."""
        return self.directory / "logs" / "screen.log"

    @property
    def pid_file(self) -> Path:
        """The number of the process that works on the run, as long as it does."""
        return self.directory / "logs" / "orchestrator.pid"

    @property
    def progress_file(self) -> Path:
        return self.directory / "progress.json"

    @property
    def summary_file(self) -> Path:
        return self.directory / SUMMARY_FILE

    @property
    def reports(self) -> Path:
        return self.directory / "reports"

    @property
    def exchanges(self) -> Path:
        return self.directory / "logs" / "llm"

    @property
    def experiment(self) -> str | None:
        """The experiment's id; None where this is no run directory."""
        try:
            return str(json.loads((self.directory / CARD_FILE).read_bytes())["experiment"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def schema(self) -> int | None:
        """The version of its layout, of `progress.SCHEMA`; None where it tells none."""
        try:
            found = json.loads((self.directory / CARD_FILE).read_bytes())["schema"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, int) else None

    @property
    def is_experiment(self) -> bool:
        """Whether this is of single experiments (`submit`) and no search has gone on from them."""
        try:
            card = json.loads((self.directory / CARD_FILE).read_bytes())
            return card["kind"] == "experiment" and not self.graph_file.exists()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def is_finished(self) -> bool:
        """Whether the search has come to its end (`summary.json` is written last)."""
        return self.summary_file.exists()

    def take_up(self) -> None:
        """The search goes on. One that had come to its end and is left now has jobs, as any other that
        was left: its summary, which says that it has none, must not outlive that."""
        self.summary_file.unlink(missing_ok=True)

    @property
    def has_begun(self) -> bool:
        """Whether its ledger must be there: the position in the loop and the summary come later."""
        return self.graph_file.exists() or self.is_finished

    @property
    def first_name(self) -> str:
        """The name that the run was made with: that of its study and of its directory on the
        cluster. The directory here may have been renamed since."""
        try:
            card = json.loads((self.directory / CARD_FILE).read_bytes())
            name = str(card.get("name"))
        except (OSError, ValueError, AttributeError):
            return self.name
        # A path that somebody wrote there must not lead out of the base.
        plain = name == Path(name).name and name not in ("", ".", "..")
        return name if plain and isinstance(card.get("name"), str) else self.name

    def lock(self) -> RunLock:
        """Take the run for this process.

        Raises RunLocked, which names who has it, ConfigurationError where it may not be written.
        """
        lock = RunLock(self.directory / LOCK_FILE)
        closed = [f for f in (self.study_file, self.graph_file) if _is_closed(f)]
        if closed:
            lock.release()
            names = " ".join(file.name for file in closed)
            raise ConfigurationError(
                f"{self.directory}: cannot write {names} there, which belongs to "
                f"{_owner(closed[0])}: ask them for `chmod g+w {names}` in that directory, or to go on "
                "with the run; you can look: `status`, `watch`, `explain`, `export`, `report`"
            )
        return lock

    @property
    def is_held(self) -> bool:
        """Whether an orchestrator works on the run, here or on a host that shares the directory."""
        return is_held(self.directory / LOCK_FILE)


def _is_closed(file: Path) -> bool:
    return file.exists() and not os.access(file, os.W_OK)


def _owner(file: Path) -> str:
    try:
        return file.owner()
    except (KeyError, OSError):
        return "somebody else"


Kind = Literal["search", "experiment", "pool"]
"""What a run directory was made for: a search, an experiment, or experiments put together."""


def create(
    settings: DirectorySettings,
    experiment: str,
    config: str,
    now: datetime,
    kind: Kind = "search",
) -> Workspace:
    """Make a new run directory with its layout. Raises ConfigurationError where it cannot."""
    base = settings.local_base.expanduser().absolute()
    timestamp = now.strftime("%Y%m%d_%H%M%S")
    name = settings.run_pattern.format(timestamp=timestamp, experiment=experiment)
    try:
        workspace = lay_out(_new_directory(base, name), experiment, config, now, kind)
    except OSError as error:
        raise ConfigurationError(
            f"directories.local_base: cannot write to {base}: {error.strerror}; choose a "
            "directory that you can write"
        ) from error
    return workspace


def lay_out(
    directory: Path, experiment: str, config: str, now: datetime, kind: Kind = "search"
) -> Workspace:
    """Make an empty directory (absolute) one of a run. Raises OSError."""
    for part in ("logs", "reports", "checkpoints", "tensorboard"):
        (directory / part).mkdir(exist_ok=True)
    workspace = Workspace(directory)
    write_atomically(workspace.config_file, config.encode())
    # The card comes last: a directory without one is not taken for a run.
    card = {
        "schema": SCHEMA,
        "kind": kind,
        "experiment": experiment,
        "name": directory.name,
        "created_at": now.isoformat(),
    }
    write_atomically(directory / CARD_FILE, to_json_bytes(card))
    return workspace


def _new_directory(base: Path, name: str) -> Path:
    for number in range(1, 1000):
        directory = base / (name if number == 1 else f"{name}_{number}")
        try:
            directory.mkdir(parents=True)
            return directory
        except FileExistsError:
            # The base may be a file; only a directory of that name is somebody else's run.
            if not directory.is_dir():
                raise
    raise ConfigurationError(f"directories.run_pattern: {base}/{name} is taken a thousand times")


def existing(directory: Path, option: str = "--resume") -> Workspace:
    """The run in `directory`, as `option` named it. Raises ConfigurationError where there is none."""
    workspace = Workspace(expanded(directory).absolute())
    if workspace.experiment is None:
        why = "it has no run.json" if workspace.directory.is_dir() else "no such directory"
        raise ConfigurationError(
            f"{option} {directory}: this is not a run directory ({why}); give the directory that "
            f"holds config.yaml and study.db{', or `latest`' if option == '--resume' else ''}"
        )
    if workspace.schema != SCHEMA:
        raise ConfigurationError(_other_version(directory, workspace))
    return workspace


def run_at(directory: Path) -> Workspace:
    """The run in `directory`. Raises ConfigurationError where there is none that we know."""
    workspace = Workspace(expanded(directory).absolute())
    if workspace.experiment is None:
        why = "it has no run.json" if workspace.directory.is_dir() else "no such directory"
        raise ConfigurationError(
            f"{directory} is not a run directory ({why}); `python -m agents.run list BASE` names "
            "those below BASE"
        )
    if workspace.schema != SCHEMA:
        raise ConfigurationError(_other_version(directory, workspace))
    return workspace


def _other_version(directory: Path, workspace: Workspace) -> str:
    return (
        f"{directory} is a run of another version of Pilothouse (schema {workspace.schema}; this is "
        f"{SCHEMA}): use the version that made it"
    )


def unfinished(base: Path, experiment: str) -> list[Workspace]:
    """Runs of `experiment` under `base` that have not come to their end, the newest last."""
    return [
        run
        for run in runs(base)
        if run.experiment == experiment and not run.is_finished and not run.is_experiment
    ]


def runs(base: Path) -> Iterator[Workspace]:
    """All run directories under `base`, the oldest first."""
    root = expanded(base).absolute()
    if not root.is_dir():
        return
    for card in sorted(root.glob(f"*/{CARD_FILE}"), key=_created_at):
        yield Workspace(card.parent)


def _created_at(card: Path) -> tuple[datetime, str]:
    """When the run was made (UTC: local times go back when summer ends), and its name. One whose
    card does not tell counts as the oldest, so that it is never taken for the latest."""
    try:
        text = str(json.loads(card.read_bytes()).get("created_at"))
        return datetime.fromisoformat(text).astimezone(UTC), card.parent.name
    except (OSError, ValueError, AttributeError, OverflowError):
        return datetime.min.replace(tzinfo=UTC), card.parent.name
