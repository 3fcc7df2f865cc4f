"""Job script templates and site profiles: data, no code."""
