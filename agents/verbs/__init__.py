"""The verbs of the command line: options and help. What they do is in `agents.commands`."""
