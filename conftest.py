"""What is left out where NNI is not installed: there is none for ARM, nor for Python 3.14."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("nni") else ["search_spaces/nni"]
