"""In which order and under which headings `--help` shows the verbs."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

PANELS = {
    "Search": ("run", "resume"),
    "Look": ("status", "watch", "list"),
    "Steer": ("pause", "continue", "stop", "cancel", "set", "add", "forbid", "note"),
    "Results": ("report", "export", "explain", "clean"),
    "Cluster": ("init", "doctor", "resources", "queue", "connect", "connection", "disconnect"),
    "Experiments": ("submit", "harvest"),
    "LLM": ("auth", "prompt"),
    "Configuration": ("config", "render", "graph"),
}


class Grouped(TyperGroup):
    """The verbs, each in its panel."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for panel, verbs in PANELS.items():
            for verb in verbs:
                # Where typer keeps it too; a verb that is in no panel is an error of ours.
                setattr(self.commands[verb], "rich_help_panel", panel)  # noqa: B010

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the panels."""
        return [verb for verbs in PANELS.values() for verb in verbs]
