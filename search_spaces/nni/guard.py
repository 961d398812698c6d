"""NNI as it has to be loaded: without its framework, silent, and one thread at a time."""

from __future__ import annotations

import logging
from threading import RLock

from search_spaces.errors import MetanasError

LOCK = RLock()  # around whatever labels, freezes or builds: NNI keeps global stacks

try:
    import nni
except ImportError:
    raise MetanasError(
        "NNI is not installed: pip install nni (there is none for ARM or for Python 3.14); "
        "metanas needs it for NNI's spaces, controllers and model spaces only"
    ) from None

with LOCK:
    nni.set_default_framework("none")  # else it asks for Lightning
    nni.silence_stdout()  # which is for results
    # what it would warn of is ours to say; without a handler, warnings would go to stderr
    logging.getLogger("nni").setLevel(logging.CRITICAL)
