"""The configuration: one YAML file, checked once, frozen afterwards."""

from agents.config.load import LoadedConfig as LoadedConfig
from agents.config.load import load as load
from agents.config.schema import json_schema as json_schema
