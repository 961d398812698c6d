"""What is remembered: studies, trials, artifacts and events, in one database beside Optuna's tables."""

from storage.reconciling import reconcile
from storage.store import Store
from storage.studies import Event, StudySummary

__all__ = ["Event", "Store", "StudySummary", "reconcile"]
