"""llama.cpp's server, started so that it runs on every processor. For the Python of its environment.

On processors with AMX llama.cpp lays weights out anew, and version 0.3.36 of its Python package
crashes at the first answer (a segmentation fault). The server has no option to leave that out; the
library underneath has one.
"""

import llama_cpp
from llama_cpp.server.__main__ import main

_defaults = llama_cpp.llama_model_default_params


def _plain():
    parameters = _defaults()
    parameters.use_extra_bufts = False
    return parameters


llama_cpp.llama.llama_cpp.llama_model_default_params = _plain
main()
