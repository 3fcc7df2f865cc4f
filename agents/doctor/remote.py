"""The machine where jobs are submitted, looked at in one round trip: clock, directories, scheduler."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.doctor.check import Check, failed, ok, skipped, warning
from agents.doctor.heard import Heard, heard, shell
from agents.doctor.prober import Prober
from agents.doctor.words import one_line
from agents.words import size_text
from scheduler.shell import home_path

QUESTION_SECONDS = 15
"""Time limit of one question there."""
LOOK_SECONDS = 150.0
"""Time limit of the whole look; a file system that hangs ends it."""
SKEW_SECONDS = 60.0
"""Clocks that differ by more are worth a warning: file times and logins are compared."""
LOW_KIB = 1024 * 1024
"""Less free space there is worth a warning."""
FULL_SHARE = 0.9
"""A quota used to this share is worth a warning."""

CLOCK, DIRECTORY, SPACE = "clock", "remote directory", "remote space"

# The base need not exist yet: then the nearest directory above it is where it would be made.
_LOOK = """
ph_text begin 0 "$(date +%s)"
ph_base=BASE
ph_near=$ph_base
while [ ! -e "$ph_near" ] && [ "$ph_near" != / ] && [ -n "$ph_near" ]; do
  case $ph_near in */*) ph_near=${ph_near%/*} ;; *) ph_near= ;; esac
done
ph_near=${ph_near:-/}
ph_rest=${ph_base#"$ph_near"}
ph_text who 0 "$(id -un 2>/dev/null)@$(uname -n)"
ph_text rest 0 "$ph_rest"
ph_try_out() {
  cd "$ph_near" || return 1
  ph_try=$(pwd -P)/.pilothouse-doctor.$ph_nonce
  trap 'rm -rf "$ph_try"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir "$ph_try" && echo x > "$ph_try/a" && mv "$ph_try/a" "$ph_try/b" && rm "$ph_try/b" ||
    return 1
  pwd -P
}
ph_out=$( (ph_try_out) 2>&1)
ph_text write "$?" "$ph_out"
ph_hear space df -Pk "$ph_near"
ph_hear inodes df -Pi "$ph_near"
if command -v lfs > /dev/null 2>&1 && [ "$(df -PT "$ph_near" 2>/dev/null | awk 'END { print $2 }')" = lustre ]; then
  ph_hear lustre lfs quota -q -u "$(id -un)" "$ph_near"
elif command -v quota > /dev/null 2>&1; then
  ph_hear quota quota -w
fi
"""


@dataclass(frozen=True)
class Look:
    """What one look brought."""

    seen: Heard
    sent: float
    """Our clock (s since the epoch) before and after."""
    received: float

    @property
    def base(self) -> str | None:
        """The base directory's absolute path there; None where nothing can be written."""
        word = self.seen.get("write")
        if word is None or word.code != 0:
            return None
        return f"{word.text.rstrip('/')}{self.seen['rest'].text}"

    @property
    def near(self) -> str | None:
        """The nearest directory that exists at or above the base."""
        word = self.seen.get("write")
        return None if word is None or word.code != 0 else word.text


def look_script(base: str, prober: Prober, nonce: str) -> str:
    """The script of a look at the machine where runs lie below `base`."""
    return (
        f"ph_nonce={nonce}\n{prober.prelude()}{shell(QUESTION_SECONDS)}"
        f"{_LOOK.replace('BASE', home_path(base))}{prober.look()}"
        'ph_text end 0 "$(date +%s)"\n'
    )


def read_look(output: bytes, nonce: str, sent: float, received: float) -> Look:
    """What the script's output says."""
    return Look(heard(output, nonce), sent, received)


def machine_checks(look: Look, base: str) -> list[Check]:
    """Clock, directory and space there."""
    return [_clock(look), _directory(look, base), _space(look)]


def _clock(look: Look) -> Check:
    begin, end = (look.seen.get(name) for name in ("begin", "end"))
    if begin is None or end is None or not (begin.text.isdigit() and end.text.isdigit()):
        return skipped(CLOCK, "the machine did not tell its time")
    skew = skew_of(float(begin.text), float(end.text), look.sent, look.received)
    if abs(skew) <= SKEW_SECONDS:
        return ok(CLOCK, "agrees with this machine's" if skew == 0 else f"differs by {skew:+.0f} s")
    return warning(
        CLOCK,
        f"there it is {abs(skew):.0f} s {'later' if skew > 0 else 'earlier'} than here",
        "let both machines follow network time (chrony, ntpd): logins, tokens and file times "
        "depend on it",
    )


def skew_of(begin: float, end: float, sent: float, received: float) -> float:
    """By how much (s) the clock there is ahead of ours at least; 0 where they may agree.

    `begin` and `end` were read there, in whole seconds rounded down, between `sent` and `received`.
    """
    least, most = end - received, begin + 1.0 - sent
    if least > 0:
        return least
    return most if most < 0 else 0.0


def _directory(look: Look, base: str) -> Check:
    said = look.seen.get("write")
    who = look.seen["who"].text if "who" in look.seen else "there"
    if said is None:
        return skipped(DIRECTORY, "not reached")
    if said.code != 0:
        return failed(
            DIRECTORY,
            f"{base} cannot be written by {who}: {one_line(said.text)}",
            "set cluster.remote_base to a directory that you can write (your scratch, say), or make "
            "room in this one",
        )
    made = f"; {look.base} is made by the first run" if look.seen["rest"].text else ""
    return ok(DIRECTORY, f"{said.text}: writable by {who}{made}")


def _space(look: Look) -> Check:
    words, tight = [], ""
    for kind, unit in (("space", 1024), ("inodes", 0)):
        free = _free(look, kind)
        if free is None:
            continue
        words.append(f"{size_text(free * unit)} free" if unit else f"{free} files free")
        if free < (LOW_KIB if unit else 10_000):
            tight = "make room there, or set cluster.remote_base to another file system"
    for use in _quotas(look):
        words.append(f"quota: {use.text}")
        if use.share >= FULL_SHARE:
            tight = "your quota there is nearly used up: delete old runs (`clean --remote`) or ask for more"
    if any(kind in look.seen and look.seen[kind].hung for kind in ("space", "inodes")):
        return warning(
            SPACE, "df hung: a file system there does not answer", "see the site's status page"
        )
    if not words:
        return skipped(SPACE, "df did not answer")
    seen = "; ".join(words)
    return warning(SPACE, seen, tight) if tight else ok(SPACE, seen)


def _free(look: Look, kind: str) -> int | None:
    """Free KiB or inodes, from the last line of ``df -P``. Some file systems count no inodes."""
    said = look.seen.get(kind)
    if said is None or said.code != 0:
        return None
    fields = said.text.splitlines()[-1].split() if said.text else []
    numbers = [field for field in fields if re.fullmatch(r"\d+", field)]
    if len(numbers) < 3 or numbers[-3] == "0":
        return None
    return int(numbers[-1])


@dataclass(frozen=True)
class Use:
    """How much of one quota is used."""

    text: str
    share: float


def _quotas(look: Look) -> list[Use]:
    for kind in ("lustre", "quota"):
        said = look.seen.get(kind)
        if said is not None:
            return quota_uses(said.text)
    return []


def quota_uses(text: str) -> list[Use]:
    """Limits in the output of ``quota -w`` or ``lfs quota -q``: rows of a file system, its KiB
    used, soft and hard limit, a grace time where one is exceeded, and the same for files."""
    uses = []
    for line in text.splitlines():
        row = re.match(r"\s*(\S+)\s+(\d+)\*?\s+(\d+)\s+(\d+)(?:\s|$)", line)
        if row is None:
            continue
        used, limit = int(row[2]), int(row[3]) or int(row[4])
        if limit:
            text_of = f"{size_text(used * 1024)} of {size_text(limit * 1024)} used on {row[1]}"
            uses.append(Use(text_of, used / limit))
    return uses


def not_reached(names: Sequence[str], why: str) -> list[Check]:
    """Checks for which the machine would have to be reached."""
    return [skipped(name, why) for name in names]
