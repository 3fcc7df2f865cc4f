"""The command line: ``python -m agents.run --config FILE`` and its verbs.

Exit codes: 0 the search came to its end; 1 an error while running; 2 bad input; 3 another
orchestrator works on the run; 130, 143 a signal asked to leave, and the run can be resumed.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agents.errors import ConfigurationError, RunLocked
from training.contract import PilothouseError


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


app = typer.Typer(
    name="pilothouse",
    help="An LLM agent that optimizes hyperparameters on HPC clusters.",
    epilog="Example: python -m agents.run --config config.example.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="About configuration files.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration (YAML).")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as loop.max_trials=20."),
]


@app.callback(invoke_without_command=True)
def main_verb(
    context: typer.Context,
    config: ConfigOption = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Go on with the run in DIR, or with the `latest`."),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Start a new run beside an unfinished one.")
    ] = False,
    max_iterations: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Same as --set loop.max_iterations=N.")
    ] = None,
    overrides: SetOption = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show first proposals, a job, the cost; start nothing."),
    ] = False,
    log_level: Annotated[
        LogLevel, typer.Option(help="What goes into logs/run.jsonl.", case_sensitive=False)
    ] = LogLevel.INFO,
) -> None:
    """Search hyperparameters: propose, run jobs, learn, and again."""
    if context.invoked_subcommand is not None:
        return
    if dry_run:
        _dry_run(config, overrides or [])
        return
    from agents.commands.search import SearchOptions, run_search

    options = SearchOptions(config, resume, new, max_iterations, log_level.value, overrides or [])
    raise typer.Exit(run_search(options))


def _dry_run(config: Path | None, overrides: list[str]) -> None:
    if config is None:
        raise ConfigurationError("--dry-run: give --config FILE as well")
    from agents.commands.dry_run import dry_run
    from agents.config import load

    typer.echo(dry_run(load(config, overrides)))


@app.command()
def graph() -> None:
    """Print the state machine as Mermaid text."""
    from agents.graph import mermaid

    typer.echo(mermaid())


RequiredConfig = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration (YAML).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command(epilog="Example: python -m agents.run connect --config aurora.yaml")
def connect(config: RequiredConfig) -> None:
    """Open the ssh connection to the cluster: here you are asked for password and token."""
    from agents.commands.connection import connect as verb
    from agents.config import load

    typer.echo(verb(load(config)))


@app.command(epilog="Example: python -m agents.run disconnect --config aurora.yaml")
def disconnect(config: RequiredConfig) -> None:
    """Close the connection that `connect` opened; one that you opened yourself is left alone."""
    from agents.commands.connection import disconnect as verb
    from agents.config import load

    typer.echo(verb(load(config)))


@app.command(epilog="Example: python -m agents.run connection --config aurora.yaml")
def connection(config: RequiredConfig) -> None:
    """Say whose connection to the cluster there is, since when, and what it serves."""
    from agents.commands.connection import connection as verb
    from agents.config import load

    typer.echo(verb(load(config)))


@app.command(epilog="Example: python -m agents.run render --config config.example.yaml")
def render(config: RequiredConfig, overrides: SetOption = None) -> None:
    """Print the first job's script and files as they would be submitted; submit nothing."""
    from agents.commands.dry_run import rendered
    from agents.config import load

    typer.echo(rendered(load(config, overrides or [])))


@app.command(epilog="Example: python -m agents.run status results/20261123_142530_fashion")
def status(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    as_json: JsonOption = False,
) -> None:
    """Say where a run stands, from any terminal; the run is not disturbed."""
    from agents.commands.status import run_state, status_text, to_json
    from agents.workspace import Workspace

    state = run_state(Workspace(directory.absolute()))
    typer.echo(to_json([state]) if as_json else status_text(state))


@app.command(name="list", epilog="Example: python -m agents.run list results")
def list_runs(
    base: Annotated[Path, typer.Argument(metavar="BASE")] = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """List all runs under a directory with their state and best value."""
    from agents.commands.status import list_text, run_state, to_json
    from agents.workspace import runs

    typer.echo(to_json([run_state(run) for run in runs(base)]) if as_json else list_text(base))


@config_app.command()
def schema() -> None:
    """Print the JSON schema of the configuration file, for editors."""
    import json

    from agents.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@config_app.command()
def check(
    config: Annotated[Path, typer.Argument(metavar="FILE")], overrides: SetOption = None
) -> None:
    """Check a configuration file. Example: python -m agents.run config check my.yaml."""
    from agents.config import load

    load(config, overrides or [])
    typer.echo(f"{config}: valid")


@config_app.command()
def show(
    config: Annotated[Path, typer.Argument(metavar="FILE")], overrides: SetOption = None
) -> None:
    """Print a configuration as it is resolved: defaults, references and overrides filled in."""
    from agents.config import load

    typer.echo(load(config, overrides or []).resolved)


def main() -> None:
    """Run the command line; errors of ours become one message and an exit code."""
    try:
        app()
    except PilothouseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        print("interrupted; a run that had begun can be resumed with --resume", file=sys.stderr)
        sys.exit(130)


def exit_code(error: PilothouseError) -> int:
    """2 for bad input, 3 for a run that somebody else works on, 1 for the rest."""
    if isinstance(error, ConfigurationError):
        return 2
    return 3 if isinstance(error, RunLocked) else 1


if __name__ == "__main__":
    main()
