"""Between a program that knows nothing of Pilothouse and the file contract: `{adapt}` in ``training.command``.

    {python} {adapt} [OPTIONS] -- PROGRAM WORD...

It fills the hyperparameters into the program's words (or a file), starts it without a shell, reads its numbers
from what it prints (or writes), and keeps the contract (`training.contract`) for it. It is put into the job's
directory as one archive and runs there alone: standard library only, and nothing newer than Python 3.6.
"""
