"""The command that tells people elsewhere: whether it is there and, where asked for, whether it works."""

from __future__ import annotations

import shutil
import socket

from agents.config import LoadedConfig
from agents.doctor.check import Check, Doing, failed, ok
from agents.notify import Message, deliver
from agents.search import keys

NOTIFICATION = "notification"


def notification_checks(loaded: LoadedConfig, doing: Doing, *, send: bool) -> list[Check]:
    """`send`: tell people for a test. Nothing where `notify` is not configured."""
    settings = loaded.settings.notify
    if settings is None:
        return []
    program = settings.command[0]
    path = shutil.which(program)
    if path is None:
        return [failed(NOTIFICATION, f"there is no program {program}", "mend notify.command")]
    if not send:
        return [ok(NOTIFICATION, f"{path}; `doctor --notify` tells people for a test")]
    doing("the notification")
    subject = f"pilothouse {loaded.settings.experiment.id}: a test"
    message = Message("test", subject, f"`doctor --notify` on {socket.gethostname()} asked for it.")
    why = deliver(settings.command, message, keys(loaded))
    if why is not None:
        return [
            failed(NOTIFICATION, why, "mend notify.command; it reads the message from its input")
        ]
    return [ok(NOTIFICATION, f"{path} took a test message")]
