"""Examines each part that a search needs, and says what to do about each that fails."""
