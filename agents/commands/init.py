"""``init``: look at a machine and write a configuration for it."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from agents.detect import choices, machine
from agents.detect.choices import Ask, Wishes
from agents.detect.machine import Machine, Scheduler
from agents.doctor.heard import heard
from agents.errors import ConfigurationError
from agents.home import expanded
from agents.inventory import Inventory, Queue
from agents.words import count
from scheduler.errors import Away, LoginNeeded
from scheduler.script import rendered_text
from scheduler.settings import (
    BatchSettings,
    LocalTransportSettings,
    PbsBatchSettings,
    SlurmBatchSettings,
    SshTransportSettings,
)
from scheduler.transport import Transport
from training.contract import PilothouseError, write_atomically

LOOK_SECONDS = 240.0
PROGRAM = "program.py"


@dataclass(frozen=True)
class InitOptions:
    """What the command line says."""

    host: str | None = None
    ssh_config: Path | None = None
    output: Path = Path("config.yaml")
    name: str = "first"
    site: str | None = None
    batch: str | None = None
    """``slurm``, ``pbs`` or ``local``; None: what answers."""
    wishes: Wishes = field(default_factory=Wishes)
    yes: bool = False
    """Take what was found where a person would be asked."""
    force: bool = False
    as_json: bool = False


def init(options: InitOptions) -> None:
    """Look at the machine, write the configuration, say what was found and what comes next."""
    _check_output(options)
    _check_name(options.name)
    transport_settings = _transport(options)
    transport = _open(transport_settings)
    try:
        seen = _look(transport, _opening(transport_settings))
        seen, inventory = _answering(transport, _wished(seen, options.batch))
    finally:
        transport.close()
    text = configuration(options, seen, inventory, transport_settings, _asker(options))
    program = options.output.absolute().parent / PROGRAM
    if not program.exists():
        shutil.copyfile(str(resources.files("jobs").joinpath("templates", PROGRAM)), program)
    _write(options.output, text)
    if options.as_json:
        print(_document(options, seen, inventory))
    else:
        _say(options, seen, inventory)


def _check_output(options: InitOptions) -> None:
    if options.output.exists() and not options.force:
        raise ConfigurationError(
            f"{options.output} is there already: give another --output, or --force to replace it"
        )
    if not options.output.absolute().parent.is_dir():
        raise ConfigurationError(f"{options.output}: there is no such directory; make it first")
    if not os.access(options.output.absolute().parent, os.W_OK):
        raise ConfigurationError(
            f"{options.output}: you cannot write there; name another place with --output"
        )


def _check_name(name: str) -> None:
    from agents.config.model import ExperimentSettings

    try:
        ExperimentSettings(id=name)
    except ValidationError as error:
        raise ConfigurationError(
            f"--name {name}: write 1 to 64 letters, digits, - and _, a letter or digit first"
        ) from error


def _transport(options: InitOptions) -> LocalTransportSettings | SshTransportSettings:
    if options.host is None:
        return LocalTransportSettings()
    # Absolute, since the configuration may be written elsewhere, and read from anywhere.
    file = options.ssh_config and expanded(options.ssh_config).absolute()
    try:
        settings = SshTransportSettings(kind="ssh", host=options.host, config_file=file)
    except ValidationError as error:
        raise ConfigurationError(
            f"--host {options.host}: give a machine's name or alias, as you give it to ssh"
        ) from error
    _check_host(settings)
    return settings


def _check_host(settings: SshTransportSettings) -> None:
    """Refuse a name that nobody knows: a login would be asked for where none can be."""
    from agents.known_host import known_host_remedy, unknown_host

    why = unknown_host(settings)
    if why is not None:
        host = settings.host
        raise ConfigurationError(f"--host {host}: {why}: {known_host_remedy(host)}")


def _open(settings: LocalTransportSettings | SshTransportSettings) -> Transport:
    """The transport; where a person has to log in and one is here, the login comes first."""
    from scheduler.transports import open_transport

    if isinstance(settings, SshTransportSettings) and sys.stdin.isatty():
        from scheduler.transports.ssh_master import Master

        master = Master(settings)
        print(master.connect(), file=sys.stderr)
    return open_transport(settings, connect="python -m agents.run init … in a terminal")


def _opening(settings: LocalTransportSettings | SshTransportSettings) -> str:
    """How the connection can be opened where nobody is asked, such as with a key alone."""
    if not isinstance(settings, SshTransportSettings):
        return ""
    from scheduler.transports import ssh_client
    from scheduler.transports.ssh_master import Master

    master = ["-M", "-N", "-f", "-S", str(Master(settings).path), "--", settings.host]
    return f", or open it before:\n  {shlex.join([*ssh_client.base_command(settings), *master])}"


def _look(transport: Transport, opening: str) -> Machine:
    nonce = secrets.token_hex(8)
    try:
        done = transport.run(machine.script(nonce), timeout=LOOK_SECONDS)
    except LoginNeeded as error:
        raise PilothouseError(
            f"{error}; run init in a terminal, where it can ask you for the login{opening}"
        ) from error
    except Away as error:
        raise PilothouseError(f"{error}; check --host with `ssh HOST`") from error
    seen = heard(done.stdout, nonce)
    if "end" not in seen:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise PilothouseError(f"the look at {transport.name} broke off: {said or 'no answer'}")
    return machine.read(seen)


def _wished(seen: Machine, batch: str | None) -> Machine:
    """The machine with the batch system that was asked for. Raises ConfigurationError."""
    if batch is None:
        return seen
    found = [one for one in seen.schedulers if one.kind == batch]
    if not found and batch != "local":
        command = machine.COMMANDS[batch]
        raise ConfigurationError(
            f"--batch {batch}: no {command} on {seen.host}, nor in a login shell there; put it on "
            "PATH, or leave --batch out"
        )
    return seen.using(*found)


def _answering(transport: Transport, seen: Machine) -> tuple[Machine, Inventory]:
    """The machine with the scheduler that answers, the first one where none does, and what it has:
    commands of a scheduler that serves nobody lie on many machines."""
    looks = []
    for one in seen.schedulers:
        looks.append((seen.using(one), _inventory(transport, one)))
        if not looks[-1][1].silence:
            return looks[-1]
    return looks[0] if looks else (seen, Inventory("local"))


def _inventory(transport: Transport, scheduler: Scheduler) -> Inventory:
    from agents.inventory.survey import survey

    try:
        return survey(transport, _batch(scheduler), None)
    except Away as error:
        return Inventory(scheduler.kind, missing=(str(error),))


def _batch(scheduler: Scheduler) -> BatchSettings:
    if scheduler.kind == "slurm":
        return SlurmBatchSettings(kind="slurm", bin_directory=scheduler.bin_directory)
    return PbsBatchSettings(kind="pbs", bin_directory=scheduler.bin_directory)


def _asker(options: InitOptions) -> Ask:
    def ask(option: str, question: str, known: Sequence[str], default: str | None) -> str:
        if options.yes and default is not None:
            return default
        if not sys.stdin.isatty():
            found = f"; found: {', '.join(known)}" if known else ""
            raise ConfigurationError(f"{question[:-1]}: give {option}{found}")
        import typer

        shown = f"{question} ({', '.join(known)})" if known else question
        return str(typer.prompt(shown, default=default))

    return ask


def configuration(
    options: InitOptions,
    seen: Machine,
    inventory: Inventory,
    transport: LocalTransportSettings | SshTransportSettings,
    ask: Ask,
) -> str:
    """The configuration's text."""
    wishes = options.wishes
    site = options.site or machine.site_of(seen.host, _hosts())
    profile = site or {"slurm": "generic-slurm", "pbs": "generic-pbs"}.get(seen.batch, "local")
    none = choices.Choice(None, "")
    is_local = seen.batch == "local"
    queue = none if is_local else choices.queue_of(wishes, inventory, ask)
    account = none if is_local else choices.account_of(wishes, inventory, ask)
    base, python = choices.base_of(wishes, seen), choices.python_of(wishes, seen)
    found = choices.strictest(queue, inventory)
    cpus, gpus = choices.size_of(wishes, found)
    batch_system = {"kind": seen.batch}
    if seen.bin_directory:
        batch_system["bin_directory"] = seen.bin_directory
    return rendered_text(
        "templates/config.yaml.j2",
        day=datetime.now().strftime("%Y-%m-%d"),
        host=seen.host,
        site=profile,
        experiment=options.name,
        program=PROGRAM,
        transport=_flow(transport.model_dump(mode="json", exclude_defaults=True) or {}, transport),
        batch=seen.batch,
        batch_system=_quoted(batch_system),
        slots=max(1, min(2, seen.cores)),
        gpus_here=seen.gpus,
        base=_quoted(base.value),
        base_why=_comment(base.why),
        python=_quoted(python.value),
        python_why=_comment(python.why),
        queue=None if queue.value is None else _quoted(queue.value),
        queue_why=_comment(queue.why),
        account=None if account.value is None else _quoted(account.value),
        account_why=_comment(account.why),
        cpus=cpus,
        gpus=gpus,
        memory=choices.memory_of(found, cpus) if profile == "generic-slurm" else None,
        walltime=_quoted(choices.walltime_of(wishes, found)),
        modules=seen.has_modules,
        container=seen.container,
    )


def _flow(
    written: dict[str, object], transport: LocalTransportSettings | SshTransportSettings
) -> str:
    return _quoted({"kind": transport.kind, **written})


def _quoted(value: object) -> str:
    """A value as JSON that is YAML too: what cannot be printed is escaped as YAML does."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)


def _comment(why: str) -> str:
    return " ".join(why.split())[:200] or "-"


def _hosts() -> dict[str, list[str]]:
    text = resources.files("jobs").joinpath("hosts.yaml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = yaml.safe_load(text)
    return found


def _write(path: Path, text: str) -> None:
    """Write what is valid; what is not leaves a file that was there as it is."""
    from agents.config import load

    tried = path.with_name(f".{path.name}.new")  # beside it: its paths are relative to the file
    try:
        write_atomically(tried, text.encode())
        load(tried)
        tried.replace(path)
    except ConfigurationError as error:
        said = str(error).replace(str(tried), str(path))
        raise ConfigurationError(f"{said}; nothing was written") from error
    finally:
        tried.unlink(missing_ok=True)


def _say(options: InitOptions, seen: Machine, inventory: Inventory) -> None:
    say: Callable[[str], None] = print
    say(
        f"{seen.user}@{seen.host}: {seen.batch}, {seen.cores} cores here, Python {seen.python_version}"
    )
    for queue in _shown(inventory):
        gpus = ", ".join(f"{each.total} {each.kind or 'GPUs'}" for each in queue.gpus)
        nodes = "a route" if queue.is_route else count(queue.nodes, "node")
        closed = "" if queue.is_open else ", closed: it starts no jobs now"
        say(f"  queue {queue.name}: {nodes}{', ' + gpus if gpus else ''}{closed}")
    if inventory.silence:
        say(f"  {inventory.batch} does not answer: {inventory.silence}")
        say("  written for it all the same; --batch local is for runs on this machine alone")
    for line in () if inventory.silence else inventory.missing:
        say(f"  not known: {line}")
    say(f"written: {options.output} (and {PROGRAM}, a stand-in for your training program)")
    say("next:")
    for command in _next(options, seen):
        say(f"  {command}")


def _shown(inventory: Inventory) -> list[Queue]:
    """The queues that a person may ask for."""
    return [each for each in inventory.queues if not (each.is_hidden or each.by_route_only)]


def _next(options: InitOptions, seen: Machine) -> list[str]:
    """What a person types next; the connection is open."""
    verbs = ["doctor ", *(["resources "] if seen.batch != "local" else []), ""]
    config = shlex.quote(str(options.output))
    return [f"python -m agents.run {verb}--config {config}" for verb in verbs]


def _document(options: InitOptions, seen: Machine, inventory: Inventory) -> str:
    """What `_say` says, for scripts."""
    document = {
        "written": str(options.output),
        "host": seen.host,
        "user": seen.user,
        "batch": seen.batch,
        "python": seen.python_version,
        "queues": [
            {
                "name": queue.name,
                "nodes": queue.nodes,
                "gpus": [{"kind": each.kind, "total": each.total} for each in queue.gpus],
            }
            for queue in _shown(inventory)
        ],
        "silence": inventory.silence or None,
        "missing": [*inventory.missing],
        "next": _next(options, seen),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
