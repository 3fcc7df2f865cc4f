"""Whose directory on the cluster it is.

Jobs are known by their directories there. Where two runs came to share one, such as two people with
one `remote_base` and one name for their runs, each would take the other's jobs for its own: values
would stand beside hyperparameters that they do not belong to. So a run leaves a card, and who submits
looks at it first. Without a card, such as on a full disk or of an older version, nobody is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scheduler.shell import home_path, quote

CARD = "run.owner"
TAKEN_OVER = 96
"""Exit code of a submission where the card names another orchestrator."""
_UNKNOWN = "?"
_MARK = "owner "

# A card appears with what it says. In a directory without one, which holds jobs that a new run cannot
# have submitted, nobody leaves one.
_CLAIM = """
ph_run= ph_place=
{ read -r ph_run ph_place < CARD; } 2> /dev/null
[ -n "$ph_run" ] || [ BEGUN = yes ] || [ -z "$(find . -name submitting -type f)" ] || ph_run=UNKNOWN
ph_card=CARD.$$
if [ -z "$ph_run" ]; then
  printf '%s\\n' OWN > "$ph_card" &&
    { ln "$ph_card" CARD || [ -e CARD ] || mv "$ph_card" CARD; }
  rm -f "$ph_card"
  { read -r ph_run ph_place < CARD; } 2> /dev/null
elif [ "$ph_run" = RUN ] || [ BEGUN = yes ]; then
  printf '%s\\n' OWN > "$ph_card" && mv -f "$ph_card" CARD || rm -f "$ph_card"
fi 2> /dev/null
printf 'owner %s %s\\n' "$ph_run" "$ph_place"
"""


@dataclass(frozen=True)
class Claim:
    """That this orchestrator works on a run's directory on the cluster."""

    run: str
    """What tells the run from all others, a word."""
    place: str
    """From where it is worked on: host and directory."""
    begun: bool
    """Whether the run knows of jobs that it may have submitted: then the directory is its own."""

    @property
    def _place(self) -> str:
        return " ".join(self.place.split())

    @property
    def _card(self) -> str:
        return f"{self.run} {self._place}"

    def shell(self) -> str:
        """Run in the directory: leaves the card, and prints whose it was before, or is."""
        words = {
            "CARD": CARD,
            "BEGUN": "yes" if self.begun else "no",
            "UNKNOWN": quote(_UNKNOWN),
            "RUN": quote(self.run),
            "OWN": quote(self._card),
        }
        # In one pass: a value may hold another's name.
        return re.sub("|".join(words), lambda match: words[match.group()], _CLAIM)

    def fence(self, root: str) -> str:
        """Ends a script, with the card on standard error, where somebody else has taken over."""
        return (
            f"ph_card=\n{{ read -r ph_card < {home_path(root)}/{CARD}; }} 2> /dev/null\n"
            f'[ -z "$ph_card" ] || [ "$ph_card" = {quote(self._card)} ] || '
            f'{{ printf "%s\\n" "$ph_card" >&2; exit {TAKEN_OVER}; }}\n'
        )

    def holder(self, printed: str) -> str | None:
        """By what `shell` printed, another run that has the directory, in words; None where it is
        this one's."""
        run, place = _said(printed)
        if self.begun or run in ("", self.run):
            return None
        return "another run" if not place else f"another run, {place}"

    def left(self, printed: str) -> str | None:
        """Another place from where this run was worked on before; None where there is none."""
        run, place = _said(printed)
        elsewhere = run == self.run and place not in ("", self._place)
        return place if elsewhere else None


def _said(printed: str) -> tuple[str, str]:
    lines = [line for line in printed.splitlines() if line.startswith(_MARK)]
    run, _, place = lines[-1].removeprefix(_MARK).partition(" ") if lines else ("", "", "")
    return run, " ".join(place.split())
