import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "slurm_lab"))

from lab_fixtures import plain_slurm  # noqa: F401
