"""Logins that last longer than a token: Globus, for LLM endpoints behind it."""
