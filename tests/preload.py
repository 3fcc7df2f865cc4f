"""Imported once by the server from which the tests' processes are forked."""

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
import torch

import agents.commands.harvest
import agents.commands.search
import agents.commands.status
import agents.commands.submit
import agents.proposers.surrogate
import agents.run
import scheduler.batch.local
import scheduler.transports.local
import training.train
import training.trainer

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
