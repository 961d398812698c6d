"""NNI's spaces and model spaces, and ours, each as the other: beside controllers.nni all that imports NNI.

NNI 3.0 was archived in 2024; it is loaded when this package is, and never at the command line's start.
``search_spaces.nni.models`` makes architectures of model spaces, and needs torch.
"""

from search_spaces.nni.guard import LOCK
from search_spaces.nni.mutables import (
    Branching,
    Ordered,
    Together,
    candidate_of,
    from_nni,
    sample_of,
    to_nni,
)

__all__ = ["LOCK", "Branching", "Ordered", "Together", "candidate_of", "from_nni", "sample_of", "to_nni"]
