"""Trials become jobs: batch systems over transports, working directories, job scripts."""
