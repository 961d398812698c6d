"""TabPFN as a baseline, where it is installed and its weights are on this machine: nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from metanas.per_task import Method, of_several_classes
from search_spaces import Signature

NAME = "TabPFN per task"
_MEMBERS = 4  # of its ensemble: a task is a handful of rows


def tabpfn(signature: Signature) -> tuple[list[Method], str]:
    """The baseline, if it can be run; else why not, or nothing where it is not installed.

    References:
        Hollmann et al., *Accurate predictions on small data with a tabular foundation model*, 2025,
        https://doi.org/10.1038/s41586-024-08328-6
    """
    if find_spec("tabpfn") is None or (signature.kind == "regression" and signature.outputs > 1):
        return [], ""
    try:
        weights = _weights(signature)
        if weights is None:
            why = "a search downloads nothing, and its weights are not on this machine: run it once by itself"
            return [], f"baseline {NAME} is left out: {why}"
        model = _model(signature, weights)
    except Exception as error:  # another version of it, or of what it needs
        return [], f"baseline {NAME} is left out: {type(error).__name__}: {str(error)[:100]}"

    def predict(_: None, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        if y.shape[1] == 1:
            return np.asarray(model.fit(x, y[:, 0]).predict(q))[:, None]
        return np.asarray(np.eye(y.shape[1])[model.fit(x, y.argmax(1)).predict(q)])

    several = signature.kind == "classification"
    return [Method(NAME, (None,), of_several_classes(predict) if several else predict)], ""


def _weights(signature: Signature) -> Path | None:
    """Where TabPFN left those that it downloaded."""
    from tabpfn.model_loading import resolve_model_path
    from tabpfn.settings import settings

    kind = "regressor" if signature.kind == "regression" else "classifier"
    (path,) = resolve_model_path(None, kind, settings.tabpfn.model_version.value)[0]
    return Path(path) if Path(path).exists() else None


def _model(signature: Signature, weights: Path) -> Any:
    from tabpfn import TabPFNClassifier, TabPFNRegressor

    kind = TabPFNRegressor if signature.kind == "regression" else TabPFNClassifier
    # with the path of a file that is there it has no reason to look for another
    return kind(model_path=str(weights), n_estimators=_MEMBERS, random_state=0)
