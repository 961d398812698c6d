"""What other packages say, and our users need not hear."""

from __future__ import annotations

import logging
import warnings

import optuna


def quiet_optuna() -> None:
    """Optuna's own messages are for its developers; ours say the same in our words."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    logging.getLogger("alembic").setLevel(logging.ERROR)
