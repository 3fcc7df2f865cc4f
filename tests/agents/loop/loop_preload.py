"""Imported once by the server from which the tests' orchestrators are forked."""

import langgraph.checkpoint.sqlite
import langgraph.graph
import optuna
import optuna.importance
import sqlalchemy.dialects.sqlite

import agents.commands.search
import agents.run

__all__ = ["agents", "langgraph", "optuna", "sqlalchemy"]
