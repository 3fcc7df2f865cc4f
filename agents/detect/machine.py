"""One look at a machine that a person has an account on. The script, and reading it: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch

from agents.doctor.heard import Heard, shell
from agents.doctor.words import gpus_listed

QUESTION_SECONDS = 20

# Variables and commands as a login shell has them: a plain ssh command often knows neither.
_LOOK = r"""
ph_login() {
  ph_what=$1
  ph_out=$(ph_timed "${SHELL:-/bin/sh}" -lc "$2" 2> /dev/null < /dev/null)
  ph_text "$ph_what" "$?" "$(printf '%s\n' "$ph_out" | tail -n 1)"
}
ph_text host 0 "$(uname -n)"
ph_hear fqdn hostname -f
ph_hear me id -un
ph_text home 0 "$HOME"
ph_hear cores nproc
ph_hear gpus nvidia-smi -L
ph_login scratch 'printf "%s\n" "${PSCRATCH:-${SCRATCH:-}}"'
for ph_one in sbatch qsub python3 apptainer singularity; do
  ph_text "plain:$ph_one" 0 "$(command -v "$ph_one" 2> /dev/null)"
  ph_login "login:$ph_one" "command -v $ph_one"
done
ph_login modules 'command -v module > /dev/null && echo yes || echo "${MODULESHOME:-}${LMOD_PKG:-}"'
ph_login version 'python3 -c "import sys; print(sys.version.split()[0])"'
ph_dirs=
for ph_dir in "/scratch/$(id -un)" "/scratch/users/$(id -un)" "/work/$(id -un)" \
    "/fscratch/$(id -un)" "/global/scratch/$(id -un)" "/scratch/alpine/$(id -un)"; do
  [ -d "$ph_dir" ] && [ -w "$ph_dir" ] && ph_dirs="$ph_dirs$ph_dir
"
done
ph_text directories 0 "$ph_dirs"
ph_text end 0 ''
"""


COMMANDS = {"slurm": "sbatch", "pbs": "qsub"}
"""By which a batch system is known."""


@dataclass(frozen=True)
class Scheduler:
    """A batch system whose commands are there. Whether it answers is another question."""

    kind: str
    """``slurm`` or ``pbs``."""
    bin_directory: str | None
    """Where its commands lie, if only a login shell finds them."""


@dataclass(frozen=True)
class Machine:
    """What was seen."""

    host: str
    user: str
    home: str
    schedulers: Sequence[Scheduler]
    """Those to choose from, the likeliest first; none: jobs run on the machine itself."""
    scratch: str | None
    """A directory that is meant for large, passing data."""
    python: str | None
    python_version: str
    cores: int
    gpus: int
    container: str | None
    """``apptainer`` or ``singularity``."""
    has_modules: bool

    @property
    def batch(self) -> str:
        """``slurm``, ``pbs`` or ``local``."""
        return self.schedulers[0].kind if self.schedulers else "local"

    @property
    def bin_directory(self) -> str | None:
        """Where the scheduler's commands lie, if only a login shell finds them."""
        return self.schedulers[0].bin_directory if self.schedulers else None

    def using(self, *schedulers: Scheduler) -> Machine:
        """The machine with this choice of schedulers."""
        return replace(self, schedulers=schedulers)


def script(nonce: str) -> str:
    """The script that looks."""
    return f"ph_nonce={nonce}\n{shell(QUESTION_SECONDS)}{_LOOK}"


def read(seen: Heard) -> Machine:
    """What the answers say."""
    fqdn, host = _text(seen, "fqdn"), _text(seen, "host")
    directories = _text(seen, "directories").split("\n")
    container = next((c for c in ("apptainer", "singularity") if _where(seen, c)), None)
    cores = _text(seen, "cores")
    return Machine(
        host=fqdn if "." in fqdn and " " not in fqdn else host,
        user=_text(seen, "me"),
        home=_text(seen, "home"),
        schedulers=tuple(_schedulers(seen)),
        scratch=_text(seen, "scratch") or directories[0] or None,
        python=_where(seen, "python3") or None,
        python_version=_text(seen, "version"),
        cores=int(cores) if cores.isdigit() else 1,
        gpus=gpus_listed(_text(seen, "gpus")),
        container=container,
        has_modules=bool(_text(seen, "modules")),
    )


def _schedulers(seen: Heard) -> Iterator[Scheduler]:
    for kind, command in COMMANDS.items():
        where = _where(seen, command)
        if where:
            is_plain = bool(_text(seen, f"plain:{command}"))
            yield Scheduler(kind, None if is_plain else where.rpartition("/")[0] or None)


def site_of(host: str, hosts: Mapping[str, Sequence[str]]) -> str | None:
    """The site whose host names match; None where none does."""
    return next(
        (name for name, patterns in hosts.items() if any(fnmatch(host, p) for p in patterns)), None
    )


def _text(seen: Heard, name: str) -> str:
    word = seen.get(name)
    return word.text if word is not None and word.code == 0 else ""


def _where(seen: Heard, command: str) -> str:
    """The path of a command; an alias or a function is none."""
    found = _text(seen, f"plain:{command}") or _text(seen, f"login:{command}")
    return found if found.startswith("/") else ""
