"""What holds for all tests: what is left out where NNI is not installed, and that Ctrl-C is heard."""

import signal
from importlib.util import find_spec

# there is none for ARM, nor for Python 3.14
collect_ignore = [] if find_spec("nni") else ["search_spaces/nni"]

# a shell has its background jobs ignore Ctrl-C, which some tests send; what they start would inherit it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
