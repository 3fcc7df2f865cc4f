"""A cluster: ``init`` writes a configuration for it; ``resources`` and ``queue`` say what it has."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from agents.verbs.options import JsonOption, RequiredConfig, SetOption

app = typer.Typer()


def _walltime(text: str | None) -> int | None:
    from agents.errors import ConfigurationError
    from scheduler.units import parse_duration

    if text is None:
        return None
    try:
        seconds = round(float(str(parse_duration(text))))
    except ValueError as error:
        raise ConfigurationError(f"--walltime {text}: {error}") from error
    if seconds < 60:
        raise ConfigurationError(f"--walltime {text}: give a minute or more, such as 30m")
    return seconds


@app.command(epilog="Example: python -m agents.run init --host delta --output delta.yaml")
def init(
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="As you give it to ssh; else this machine.")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="Where to write.")] = Path(
        "config.yaml"
    ),
    name: Annotated[str, typer.Option(help="Of the experiment.")] = "first",
    site: Annotated[
        str | None, typer.Option(metavar="NAME", help="A profile in jobs/sites; else by host name.")
    ] = None,
    batch: Annotated[
        Literal["slurm", "pbs", "local"] | None,
        typer.Option(help="Batch system; else the one that answers."),
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Partition or queue.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Account or project that pays; - for none.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="DIR", help="For runs, on the cluster.")
    ] = None,
    python: Annotated[str | None, typer.Option(metavar="PATH", help="Runs your program.")] = None,
    walltime: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Of a trial, such as 30m.")
    ] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Of a trial.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="Of a trial.")] = None,
    ssh_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="In place of ~/.ssh/config.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take what was found.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts; takes what was found, as --yes.")
    ] = False,
) -> None:
    """Look at a machine and write a configuration for it; only what was not found is asked."""
    from agents.commands.init import InitOptions
    from agents.commands.init import init as verb
    from agents.detect.choices import Wishes

    wishes = Wishes(queue, account, base, python, _walltime(walltime), cpus, gpus)
    verb(
        InitOptions(
            host, ssh_config, output, name, site, batch, wishes, yes or as_json, force, as_json
        )
    )


@app.command(epilog="Example: python -m agents.run resources --config delta.yaml")
def resources(
    config: RequiredConfig, overrides: SetOption = None, as_json: JsonOption = False
) -> None:
    """Show free, busy and broken nodes and GPUs, when a trial would start, and what to change."""
    from agents.commands.resources import resources as verb
    from agents.config import load

    verb(load(config, overrides or []), as_json)


@app.command(epilog="Example: python -m agents.run queue --config delta.yaml --all")
def queue(
    config: RequiredConfig,
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="JOB...", help="Ids: tell all about these.")
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Everybody's jobs, not only mine.")
    ] = False,
    cancel: Annotated[
        bool,
        typer.Option("--cancel", help="Cancel these; without JOB all of mine, after a question."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Cancel without asking.")] = False,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show jobs that wait and run: what they need, and when they may start. Mine have a star.

    With JOB all that the scheduler tells of it. The trials of a search are better cancelled by
    `cancel`, which keeps who asked.
    Exit codes: 0 done, 1 the scheduler knows no such job or does not answer, 2 bad input.
    """
    from agents.commands.resources import queue as verb
    from agents.config import load

    loaded = load(config, overrides or [])
    if not jobs and not cancel:
        verb(loaded, as_json, everybody)
        return
    from agents.commands.queued import cancel_jobs, tell_jobs
    from agents.errors import ConfigurationError

    if as_json or everybody:
        raise ConfigurationError(
            "queue: --json and --all list jobs; leave them out with JOB or --cancel"
        )
    raise typer.Exit(
        cancel_jobs(loaded, jobs or [], yes) if cancel else tell_jobs(loaded, jobs or [])
    )
