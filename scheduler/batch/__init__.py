"""Batch systems: a table of states and a few pure functions each."""
