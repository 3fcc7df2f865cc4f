"""The orchestrator: state machine, proposers, convergence, reports."""
