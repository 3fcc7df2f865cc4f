"""What runs on a compute node: the training program and the file contract it keeps."""

import time

IMPORTED = time.monotonic()
"""When the program's import began, before torch's: what a short trial waits for counts from here."""
