import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "scheduler" / "batch"))
sys.path.insert(0, str(Path(__file__).parents[1] / "pbs_replay"))

from lab_fixtures import accounting_slurm, plain_slurm  # noqa: F401
