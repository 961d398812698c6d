"""NNI's layers, loaded once and without its warnings."""

from __future__ import annotations

import warnings

from search_spaces.nni.guard import LOCK

with LOCK, warnings.catch_warnings():
    # of classes that torch has and NNI does not know
    warnings.simplefilter("ignore", RuntimeWarning)
    from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat

__all__ = ["LayerChoice", "ModelSpace", "Repeat"]
