import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "slurm_lab"))
sys.path.insert(0, str(Path(__file__).parents[2] / "pbs_replay"))

from lab_fixtures import accounting_slurm, plain_slurm  # noqa: F401
