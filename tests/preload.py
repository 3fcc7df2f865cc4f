"""Imported once by the server from which the tests' processes are forked."""

from contextlib import suppress

import alembic.command
import alembic.context
import jinja2
import langchain_openai
import langgraph.checkpoint.sqlite
import langgraph.graph
import openai.resources.chat
import optuna
import optuna.importance
import sqlalchemy.dialects.sqlite

import agents.commands.harvest
import agents.commands.search
import agents.commands.status
import agents.commands.submit
import agents.proposers.surrogate
import agents.run
import scheduler.batch.local
import scheduler.transports.local

__all__ = [
    "agents",
    "alembic",
    "jinja2",
    "langchain_openai",
    "langgraph",
    "openai",
    "optuna",
    "scheduler",
    "sqlalchemy",
    "torch",
    "training",
]

# The first storage of a process imports Optuna's tables, and all its migrations.
_storage = optuna.storages.RDBStorage("sqlite:///:memory:")
_storage.remove_session()
_storage.engine.dispose()

with suppress(ImportError):  # the tests of agents need no torch
    import torch

    import training.train
    import training.trainer
