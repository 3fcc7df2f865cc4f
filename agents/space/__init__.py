"""The search space: what may be tried, and the one validator for whoever proposes it."""

from agents.space.constraint import Constraint as Constraint
from agents.space.space import SearchSpace as SearchSpace
