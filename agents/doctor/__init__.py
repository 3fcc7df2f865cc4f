"""Examines each part that a search needs, and says what to do about each that fails."""

from agents.doctor.check import Check as Check
from agents.doctor.check import Outcome as Outcome
from agents.doctor.examine import examine as examine
