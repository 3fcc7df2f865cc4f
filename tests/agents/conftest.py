import sys
from pathlib import Path

HERE = Path(__file__).parent
for place in (HERE, HERE / "proposers", HERE.parent / "slurm_lab"):
    sys.path.insert(0, str(place))
