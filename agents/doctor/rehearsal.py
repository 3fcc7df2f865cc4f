"""A rehearsal: the job script as it would be submitted, with a look at the training command in its place.

On the machine where jobs are submitted it takes one round trip, in a directory that it removes; with
``--job`` the same script goes through the batch system to a compute node.
"""

from __future__ import annotations

import inspect
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agents.config.model import Settings
from agents.doctor import imports
from agents.doctor.check import Check, failed, ok, skipped, warning
from agents.doctor.heard import Heard, shell
from agents.doctor.prober import Prober
from agents.doctor.program import Needs, needs_of, staged
from agents.doctor.remote import QUESTION_SECONDS
from agents.doctor.words import one_line
from agents.jobs import job_request, new_job, python_command
from agents.space import SearchSpace
from agents.trial import Trial, TrialState
from scheduler.job import Container, JobRequest
from scheduler.resources import resources_for
from scheduler.sentinel import Sentinel, read_sentinel
from scheduler.shell import heredoc, quote
from scheduler.unfound import unfound
from training.contract import RESULTS_FILE, ParameterValue

PYTHON, COMMAND, SHELL = "remote Python", "training command", "shell lines"
REHEARSAL_SECONDS = 60
"""Time limit of the rehearsal: modules and shell lines of a site can be slow."""

# In the job's place; says what it finds in the file where a result would be. No file is changed.
_PROBE = r"""
ph_file=$1 ph_program=$2 ph_python=$3 ph_imports=$4
shift 4
exec 3> "$ph_file.new"
echo "host $(uname -n)" >&3
if ph_found=$(command -v "$ph_program") && [ -n "$ph_found" ]; then
  echo "program $ph_found" >&3
else
  echo "no-program $ph_program" >&3
fi
if [ -n "$ph_python" ]; then
  if ph_found=$("$ph_python" -c 'import sys; print(sys.version.split()[0], sys.executable)' 2>&1)
  then echo "python $ph_found" >&3
  else echo "no-python $ph_found" | tr '\n' ' ' >&3; echo >&3
  fi
fi
ph_lacks() {
  [ -z "$ph_python" ] || "$ph_python" -c "$ph_imports" "$1" "$2" >&3 2> /dev/null
}
while [ "$#" -gt 0 ]; do
  case $1 in
    file)
      if [ ! -r "$2" ]; then echo "no-file $2 in $PWD" >&3
      else case $2 in *.py)
        [ -z "$ph_python" ] || ph_found=$("$ph_python" -c \
          'import sys; compile(open(sys.argv[1], "rb").read(), sys.argv[1], "exec")' "$2" 2>&1) ||
          echo "bad-file $2: $(printf '%s' "$ph_found" | tail -n 1)" >&3
          ph_lacks "$1" "$2" ;;
      esac; fi ;;
    module)
      [ -z "$ph_python" ] || "$ph_python" -c 'import importlib.util, sys
sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$2" > /dev/null 2>&1 ||
        echo "no-module $2 in $PWD" >&3
      ph_lacks "$1" "$2" ;;
    imports) ph_lacks "$1" "$2" ;;
  esac
  shift 2
done
mv "$ph_file.new" "$ph_file"
"""

_REHEARSE = """
cd "$ph_near" || exit 95
trap 'cd / && rm -rf "$ph_try"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$ph_try" && mkdir "$ph_try/probe" && cd "$ph_try/probe" || exit 94
"""

_START = """
ph_limit=SECONDS
ph_hear start sh ./script.0
for ph_file in job.out job.err exit_code RESULTS; do
  [ ! -r "$ph_file" ] || ph_text "$ph_file" 0 "$(head -c 8000 "$ph_file")"
done
"""


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed: the request whose job script looks around, and what it looks for."""

    request: JobRequest
    needs: Needs
    missing: Sequence[str]
    """Of the code that would be sent, what is not in it."""
    others: Mapping[str, JobRequest]
    """The same with what cluster.overrides ask for, by their conditions; checked, not started."""


def rehearsal_of(settings: Settings, root: str, nonce: str) -> Rehearsal:
    """The rehearsal of the default trial's job below `root` (absolute, there)."""
    space = SearchSpace.build(settings.search_space, settings.constraints)
    trial = Trial(0, 1, TrialState.RUNNING, space.default(), "default", seed=0)
    job = replace(new_job(trial, settings, nonce), directory="probe", name=f"doctor-{nonce}-0.1")
    real = job_request(replace(trial, job=job), settings, root)
    needs, missing = staged(
        needs_of(settings.training.command, python_command(settings)), settings.training
    )
    things = [*(("file", name) for name in needs.files), *(("module", m) for m in needs.modules)]
    if needs.imports:
        things.append(("imports", ",".join(needs.imports)))
    command = [
        *("/bin/sh", "-c", _PROBE, "doctor", f"{root}/probe/{RESULTS_FILE}"),
        *(needs.program, needs.python or "", inspect.getsource(imports)),
        *(word for thing in things for word in thing),
    ]
    request = replace(real, script=replace(real.script, command=command), files={})
    return Rehearsal(request, needs, missing, _others(request, settings, space.default()))


def _others(
    request: JobRequest, settings: Settings, default: Mapping[str, ParameterValue]
) -> dict[str, JobRequest]:
    """The request as each of cluster.overrides changes it, where it does."""
    found: dict[str, JobRequest] = {}
    known = [request.resources]
    for override in settings.cluster.overrides:
        when = {k: v[0] if isinstance(v, list) else v for k, v in override.when.items()}
        asked = resources_for(settings.cluster, {**default, **when})
        if asked not in known:
            known.append(asked)
            name = ", ".join(f"{key}={value}" for key, value in when.items())
            found[name] = replace(request, resources=asked)
    return found


def rehearsal_script(
    texts: Sequence[str],
    near: str,
    root: str,
    prober: Prober,
    nonce: str,
    *,
    answers: bool,
    container: Container | None,
) -> str:
    """The script that has job scripts checked (`question`), and the first run on the spot.

    `answers`: whether the batch system does; else it is not asked again.

    `root` is made below `near` and removed again. What runs in a container is not run there: images
    are large, and their programs may need a compute node.
    """
    image = ""
    if container is not None and container.image.startswith("/"):
        image = f"ph_hear image test -r {quote(container.image)}\n"
    checks = "".join(
        f"cat > script.{place}{heredoc(text)}"
        f"{prober.rehearse(f'./script.{place}', question(place)) if answers else ''}"
        for place, text in enumerate(texts)
    )
    run = _START.replace("SECONDS", str(REHEARSAL_SECONDS)).replace("RESULTS", RESULTS_FILE)
    return (
        f"ph_nonce={nonce}\nph_near={quote(near)}\nph_try={quote(root)}\n{prober.prelude()}"
        f"{shell(QUESTION_SECONDS)}{_REHEARSE}{checks}{run if container is None else image}"
    )


def question(place: int) -> str:
    """The name of the question whether the job script at `place` would be taken."""
    return f"taken.{place}"


def start_checks(said: Heard, rehearsal: Rehearsal, settings: Settings) -> list[Check]:
    """Python and the training command, as the rehearsal found them."""
    container = settings.cluster.container
    if container is not None:
        if "image" in said and said["image"].code != 0:
            return [
                skipped(PYTHON, "not reached"),
                failed(COMMAND, f"there is no image {container.image}", "mend container.image"),
            ]
        why = "it runs in a container: `doctor --job` tries it in a job"
        return [skipped(PYTHON, why), skipped(COMMAND, why)]
    if "start" not in said:
        return [skipped(PYTHON, "not reached"), skipped(COMMAND, "not reached")]
    if said["start"].hung:
        return [
            skipped(PYTHON, "not reached"),
            warning(
                COMMAND,
                f"modules and shell lines of the job took more than {REHEARSAL_SECONDS} s",
                "look at cluster.modules and cluster.setup; `doctor --job` tries them in a job",
            ),
        ]
    found = said.get(RESULTS_FILE)
    if found is None:
        error = said["job.err"].text if "job.err" in said else said["start"].text
        ended = read_sentinel(said["exit_code"].text) if "exit_code" in said else None
        ended = ended or Sentinel(said["start"].code)
        return [skipped(PYTHON, "not reached"), _not_started(ended, error, settings)]
    error = said["job.err"].text if "job.err" in said else ""
    return [*found_checks(found.text, rehearsal), *_shell_checks(error, settings)]


def _shell_checks(error: str, settings: Settings) -> list[Check]:
    """What a shell line did not find: the command starts all the same, in another environment."""
    missed = unfound(error)
    if not settings.cluster.setup or not missed:
        return []
    return [
        warning(
            SHELL,
            f"in the job's script: {one_line(missed[0])}; the command runs without it",
            "mend cluster.setup. A job's shell is no login shell: for conda, source its "
            "etc/profile.d/conda.sh first, or set cluster.python to the environment's Python",
        )
    ]


_NO_MODULE_COMMAND = re.compile(r"\bmodule: (?:command )?not found")


def _not_started(ended: Sentinel, error: str, settings: Settings) -> Check:
    last = one_line(error.splitlines()[-1] if error.splitlines() else "")
    match ended:
        case Sentinel(by="module") if _NO_MODULE_COMMAND.search(last):
            return failed(
                COMMAND,
                f"the job's shell, /bin/sh, knows no command `module`: {last}",
                "leave cluster.modules out, and write into cluster.setup the line that brings the "
                "command for sh (`. …/init/sh`; $MODULESHOME or $LMOD_PKG is often where), then "
                f"`module load {' '.join(settings.cluster.modules)}`",
            )
        case Sentinel(by="module"):
            return failed(
                COMMAND,
                f"a module cannot be loaded: {last}",
                f"mend cluster.modules ({', '.join(settings.cluster.modules)}); `module avail` "
                "lists what there is",
            )
        case Sentinel(by="directory"):
            return failed(
                COMMAND,
                f"the working directory is missing there: {last}",
                "set training.directory to a directory there, or send the code with training.stage",
            )
        case Sentinel(by="setup"):
            return failed(
                COMMAND,
                f"a line of the setup ended the job script before the command: {last}",
                "mend cluster.setup: its lines are run by /bin/sh, which may not be bash",
            )
        case Sentinel(code=126 | 127):
            return failed(
                COMMAND,
                f"the job script could not start its command: {last}",
                "mend cluster.container, cluster.setup or cluster.template",
            )
        case _:
            return failed(
                COMMAND,
                f"the job script ended with exit code {ended.code} before the command: {last}",
                "mend cluster.setup or cluster.template; `render` prints the script",
            )


def found_checks(text: str, rehearsal: Rehearsal) -> list[Check]:
    """What the probe wrote, judged."""
    rows = [(what, value) for what, _, value in (s.partition(" ") for s in text.splitlines())]
    found = dict(rows)
    lacks = [value for what, value in rows if what == "no-import"]
    # Python finds no module in a package whose __init__ lacks something: that is what to mend.
    faults = [
        (w, value) for w, value in rows if w in _REMEDIES and not (lacks and w == "no-module")
    ]
    faults += [("not-staged", name) for name in rehearsal.missing]
    python = _python_check(found, rehearsal.needs)
    if faults:
        seen = "; ".join(_REMEDIES[what][0].format(value) for what, value in faults)
        return [python, failed(COMMAND, seen, _REMEDIES[faults[0][0]][1])]
    if lacks:
        return [python, _packages_check(lacks, found)]
    if rehearsal.needs.faulty:
        return [python, _faulty_check(rehearsal.needs.faulty)]
    looked = [found.get("program", ""), *rehearsal.needs.files, *rehearsal.needs.modules]
    return [python, ok(COMMAND, f"would start: {', '.join(name for name in looked if name)}")]


def _faulty_check(faulty: Sequence[str]) -> Check:
    return warning(
        COMMAND,
        f"{'; '.join(faulty)} (to the Python here, {platform.python_version()})",
        "mend the program, unless the Python there is newer and reads it",
    )


def _packages_check(lacks: Sequence[str], found: Mapping[str, str]) -> Check:
    path = found.get("python", "").partition(" ")[2]
    return failed(
        COMMAND,
        f"the program imports {', '.join(lacks)}, which {path or 'its Python'} does not find",
        "install it for that Python, set cluster.python to the Python that has it, or bring it in with "
        "cluster.modules or cluster.setup",
    )


_REMEDIES = {
    "no-program": (
        "{} is not there",
        "name it by its whole path, or bring it in with cluster.modules or cluster.setup; where it "
        "is on compute nodes alone, `doctor --job` looks there",
    ),
    "no-file": (
        "there is no {}",
        "set training.directory to where the code is, or send it with training.stage",
    ),
    "bad-file": ("{}", "mend the program, or set cluster.python to a newer Python"),
    "no-module": (
        "Python finds no module {}",
        "set training.directory to where the code is, send it with training.stage, or install it "
        "for cluster.python",
    ),
    "not-staged": (
        "{} is not in what training.stage sends",
        "add it to training.stage, or mend training.command",
    ),
}


def _python_check(found: dict[str, str], needs: Needs) -> Check:
    if needs.python is None:
        return skipped(PYTHON, "the training command uses none, or one that it brings itself")
    if "python" not in found:
        said = one_line(found.get("no-python", "")) or needs.python
        return failed(
            PYTHON,
            f"{needs.python} does not start: {said}",
            "set cluster.python to a Python there (`which python3`), or bring one in with "
            "cluster.modules or cluster.setup",
        )
    version, _, path = found["python"].partition(" ")
    return ok(PYTHON, f"Python {version} ({path})")
