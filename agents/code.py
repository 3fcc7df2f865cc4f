"""The training code of a run: one snapshot on the cluster, the same for all of its trials."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from agents.journal import Journal
from agents.ledger import Ledger
from agents.patience import Patience
from agents.provenance import git_state
from scheduler.cluster import Cluster
from scheduler.staging import digest_of, stage

STAGE_SECONDS = 3600.0
"""Time limit of one attempt to send the code; the next goes on where it broke off."""


def staged_code(
    paths: Sequence[Path],
    ledger: Ledger,
    cluster: Cluster,
    patience: Patience,
    journal: Journal,
    said: Callable[[str], None],
) -> str | None:
    """Where the snapshot lies; it is put there first, or what a purge took of it.

    A run that goes on keeps the code that it began with, whatever has become of `paths`: only where
    they are still the same can anything be put back. Where they are not, that is said: whoever mended
    a fault would wait for it to be gone.
    """
    if not paths:
        return None
    sources = {path.name: path for path in paths}
    transport = cluster.transport
    kept = ledger.attributes().get("code")
    if kept is not None:
        path: str = kept["path"]
        if not all(map(Path.exists, paths)):
            return path
        if digest_of(sources) == kept["digest"]:
            base = posixpath.dirname(path)
            patience(lambda: stage(transport, sources, base, timeout=STAGE_SECONDS))
        else:
            said(
                f"note: the code has changed ({', '.join(sources)}), and this run goes on with what it "
                "began with; a new run (--new) takes the code as it is now"
            )
        return path
    base = f"{posixpath.dirname(cluster.root)}/code"
    said(f"code: {', '.join(sources)} to {base} on {transport.name}")
    staged = patience(lambda: stage(transport, sources, base, timeout=STAGE_SECONDS))
    first = paths[0]
    origin = git_state(first if first.is_dir() else first.parent)
    kept = {**asdict(staged), "git": origin}
    ledger.set_attribute("code", kept)
    journal.event("staged", **kept)
    return staged.path
