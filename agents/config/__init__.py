"""The configuration: one YAML file, checked once, frozen afterwards."""
