"""Whether everything is there: ``doctor``."""

from typing import Annotated

import typer

from agents.verbs.options import JsonOption, RequiredConfig, SetOption, seconds

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run doctor --config config.example.yaml")
def doctor(
    config: RequiredConfig,
    overrides: SetOption = None,
    job: Annotated[
        bool, typer.Option("--job", help="Send a tiny job through the batch system as well.")
    ] = False,
    job_limit: Annotated[
        str, typer.Option(metavar="DURATION", help="How long that job may take, such as 30m.")
    ] = "10m",
    notify: Annotated[
        bool, typer.Option("--notify", help="Run notify.command with a test message as well.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Test each part that a search needs, and say what to do about each that fails.

    Nothing is left behind on the cluster. Costs one short answer of the LLM, where there is one.
    Exit codes: 0 all well, with warnings or without, 1 something failed, 2 bad configuration.
    """
    from agents.commands.doctor import doctor as verb

    limit = seconds(job_limit, "--job-limit")
    raise typer.Exit(
        verb(config, overrides or [], job=job, job_limit=limit, notify=notify, as_json=as_json)
    )
