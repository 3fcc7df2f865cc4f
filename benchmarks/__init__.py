"""Speed, as ratios to a named baseline in one run. ``python -m benchmarks [NAME ...]``."""
