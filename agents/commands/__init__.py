"""The verbs of the command line; `agents.run` puts them together."""
