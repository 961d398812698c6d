"""Optuna's storage for SQLite, where processes that search one study change a trial in turn."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from storage.database import is_sqlite


class InTurn(RDBStorage):
    """Optuna reads how a trial stands, and then changes it, relying on ``SELECT ... FOR UPDATE``.

    SQLite knows no such thing: two processes would both take the trial that waits, or both tell how one
    ended.
    """

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if is_sqlite(self.engine.url):
            session = self.scoped_session()  # of this thread; what follows uses it, too, and ends it
            try:
                session.execute(text("BEGIN IMMEDIATE"))
            except OperationalError as error:
                session.close()
                raise StorageInternalError("the database is not to be had") from error
        return super().set_trial_state_values(trial_id, state, values)
