"""What is remembered: studies, trials, artifacts and events, in one database beside Optuna's tables."""

from storage.optuna_storage import explaining
from storage.reconciling import reconcile
from storage.snapshots import Kept
from storage.store import Store
from storage.studies import Event, StudySummary

__all__ = ["Event", "Kept", "Store", "StudySummary", "explaining", "reconcile"]
