"""Reads a finished or running run from its directory, without disturbing it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import ValidationError

from agents.config import load
from agents.config.model import Settings
from agents.config.node import data_of
from agents.config.yaml_text import parse
from agents.elapsed import elapsed_seconds, ended_at, last_sign, moment_of
from agents.errors import ConfigurationError, LedgerError
from agents.home import expanded
from agents.ledger import Ledger
from agents.ledger_file import in_the_drivers_words
from agents.progress import SCHEMA
from agents.report.facts import RunFacts, run_facts
from agents.report.salvage import Salvaged, salvage
from agents.report.usage import UsageReader
from agents.space import SearchSpace
from agents.trial import StudyView, Trial
from agents.workspace import CARD_FILE, Workspace

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

LOCK_SECONDS = 30
"""How long a reader waits while the run writes."""
_SETTLED = timedelta(seconds=5)
"""Signs of life so long after the summary are those of a search that was taken up again."""


@dataclass(frozen=True)
class Reading:
    """What a run directory holds, as of now."""

    workspace: Workspace
    settings: Settings
    view: StudyView
    facts: RunFacts
    said: Sequence[str] = ()
    """What a person has to know about the reading, such as a configuration of another version."""
    salvaged: Salvaged | None = None
    """Set where the ledger could not be read: what was found without it."""
    token: str | None = None
    """What tells its study from all others, its jobs' names among them; None where it has none yet."""


def read_run(directory: Path) -> Reading:
    """Read the run in `directory`. The run may be in progress; nothing in it is written.

    Raises ConfigurationError where there is none, LedgerError where its ledger is elsewhere and
    cannot be reached. A broken ledger of the run's own is made up for from its other files.
    """
    workspace = Workspace(expanded(directory).absolute())
    if workspace.experiment is None:
        why = "it has no run.json" if workspace.directory.is_dir() else "no such directory"
        raise ConfigurationError(
            f"{directory}: this is not a run directory ({why}); `list BASE` names those below BASE"
        )
    settings, configuration, said = _settings(workspace)
    if workspace.schema != SCHEMA:
        said = [
            *said,
            f"the run is of another version (schema {workspace.schema}; this is {SCHEMA}): what is "
            "shown may be incomplete; use the version that made it",
        ]
    trials, kept, saved = _ledger(workspace, settings)
    view = StudyView.of(settings, trials)
    facts = _facts(workspace, settings, configuration, kept)
    return Reading(workspace, settings, view, facts, said, saved, kept.get("token"))


def _ledger(
    workspace: Workspace, settings: Settings
) -> tuple[Sequence[Trial], Mapping[str, Any], Salvaged | None]:
    if settings.ledger.storage is not None:
        found = read_ledger(settings.ledger.storage, workspace.first_name, settings)
        return found[0], found[1], None
    if not workspace.study_file.exists() and not workspace.log_file.exists():
        return [], {}, None  # it has only just begun
    try:
        return *_own_ledger(workspace, settings), None
    except LedgerError as error:
        saved = salvage(workspace, settings, str(error))
        return saved.trials, saved.kept, saved


def _own_ledger(
    workspace: Workspace, settings: Settings
) -> tuple[Sequence[Trial], Mapping[str, Any]]:
    try:
        return read_ledger(read_only(workspace.study_file), workspace.first_name, settings)
    except LedgerError:
        # After a crash SQLite must finish or undo the last write first: in a copy, not here.
        with tempfile.TemporaryDirectory() as copies:
            for part in workspace.directory.glob(f"{workspace.study_file.name}*"):
                shutil.copy(part, copies)
            copy = Path(copies) / workspace.study_file.name
            return read_ledger(f"sqlite:///{copy}", workspace.first_name, settings)


def read_only(database: Path) -> str:
    """An SQLAlchemy URL that opens an SQLite file for reading alone."""
    return f"sqlite:///file:{quote(str(database))}?mode=ro&uri=true"


def read_ledger(
    url: str, name: str, settings: Settings
) -> tuple[Sequence[Trial], Mapping[str, Any]]:
    """The trials of study `name`, and what is kept with it. Raises LedgerError."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = SearchSpace.build(settings.search_space, settings.constraints)
    try:
        storage = optuna.storages.get_storage(_patient(url))
        ledger = Ledger(storage, _study(storage, name), space)
        try:
            return ledger.trials(), ledger.attributes()
        finally:
            ledger.close()
    except Exception as error:  # SQLAlchemy, drivers and a damaged row have trees of their own
        raise LedgerError(f"the ledger cannot be read: {in_the_drivers_words(error)}") from error


def _study(storage: BaseStorage, name: str) -> int:
    """The study of that name, or the only one: a run's directory may have been renamed since."""
    studies = storage.get_all_studies()
    named = [study for study in studies if study.study_name == name]
    found = named or (studies if len(studies) == 1 else [])
    if not found:
        raise LedgerError(f"it has no study {name}, but {len(studies)} others")
    return found[0]._study_id


def _patient(url: str) -> Any:
    import optuna

    if not url.startswith("sqlite"):
        return url
    options = {"connect_args": {"timeout": LOCK_SECONDS}}
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


def _settings(workspace: Workspace) -> tuple[Settings, str, list[str]]:
    """The run's configuration; of one that this version does not take, what a report needs."""
    file = workspace.config_file
    try:
        loaded = load(file)
        return loaded.settings, loaded.resolved, []
    except ConfigurationError as error:
        try:
            text = file.read_text(encoding="utf-8")
            document = data_of(parse(text, file))
            parts = ("experiment", "objective", "search_space", "report", "ledger")
            known = {part: document[part] for part in parts if part in document}
            command = {"command": ["unknown"], **_command(document)}
            settings = Settings.model_validate({**known, "training": command}, strict=True)
        except (OSError, ConfigurationError, ValidationError, TypeError, UnicodeDecodeError):
            raise error from None
        note = f"the configuration is not valid here and now ({error.problems[0]}); read in part"
        return settings, text, [note]


def _command(document: Mapping[str, Any]) -> dict[str, Any]:
    training = document.get("training")
    command = training.get("command") if isinstance(training, Mapping) else None
    return {"command": command} if isinstance(command, list) else {}


def _facts(
    workspace: Workspace, settings: Settings, configuration: str, kept: Mapping[str, Any]
) -> RunFacts:
    summary, last = summary_of(workspace), last_sign(workspace)
    ended = ended_at(workspace)
    if ended is not None and last is not None and last > ended + _SETTLED:
        summary, ended = {}, None  # it goes on with more iterations
    started = moment_of(kept.get("started_at")) or _created(workspace)
    updated = ended or last or datetime.now(UTC)
    return run_facts(
        settings,
        kept,
        configuration=configuration,
        run_directory=str(workspace.directory),
        started_at=started,
        updated_at=max(updated, started),
        elapsed_seconds=elapsed_seconds(kept, started, updated),
        stop_reason=summary.get("stop_reason"),
        usage=UsageReader(workspace.exchanges).read(),
    )


def summary_of(workspace: Workspace) -> dict[str, Any]:
    """The summary of a search that has come to its end; empty where there is none."""
    return _document(workspace.summary_file)


def _created(workspace: Workspace) -> datetime:
    card = _document(workspace.directory / CARD_FILE)
    return moment_of(card.get("created_at")) or datetime.now(UTC)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
