"""The store: one database that remembers every study, trial, artifact and event."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from search_spaces import Space
from search_spaces.errors import StoreError
from search_spaces.fingerprint import Fingerprint
from search_spaces.record import Record
from storage import artifacts, database, earlier, owner, snapshots, studies, trials
from storage.schema import migrate
from storage.signs import Signs
from storage.snapshots import Kept
from storage.studies import Event, StudySummary

if TYPE_CHECKING:
    import optuna


class Store:
    """What is remembered, at one database URL, beside Optuna's own tables.

    Every method is one transaction: what it writes is there whole, or not at all. Several
    processes may use one store at once. All methods raise :class:`StoreError`, with one line that
    says what to do, if the database cannot be read or written; so do those that name a study or a
    trial that is not there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/runs.db") as store:
        ...     store.save_study("pumps", {"trials": 20})
        ...     store.settings("pumps")
        {'trials': 20}

    Attributes:
        url: Of the database, with its password if it has one.
        shown: The same without the password, for messages.
    """

    def __init__(self, url: URL, engine: Engine) -> None:
        self.url = url.render_as_string(hide_password=False)
        self.shown = database.shown(url)
        self._url = url
        self._engine = engine
        self._optuna: optuna.storages.RDBStorage | None = None
        self._joined: set[str] = set()
        self._signs: Signs | None = None

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Store:
        """Opens a store; its tables are made, or brought up to this version, as needed.

        Args:
            url: ``sqlite:///runs.db``, ``postgresql://user@host/database``, or the path of an
                SQLite file.
            create: Whether to make a store where there is none.

        Raises:
            StoreError: If it cannot be opened, read and written, or a newer metanas wrote it.
        """
        where = database.parse(url)
        with database.explained(database.shown(where)):
            database.check_place(where, create)
            engine = database.connect(where)
            try:
                migrate(engine, create)
            except BaseException:
                engine.dispose()
                raise
        return cls(where, engine)

    @property
    def optuna(self) -> optuna.storages.RDBStorage:
        """Optuna's storage in this database; made when first asked for."""
        if self._optuna is None:
            from storage.optuna_storage import open_optuna

            self._optuna = open_optuna(self._url)
        return self._optuna

    @contextmanager
    def session(self, *, writes: bool = False) -> Iterator[Session]:
        """One transaction, for this package only; undone if an error leaves it."""
        engine = database.writing(self._engine) if writes else self._engine
        with (
            database.explained(self.shown),
            Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def save_study(self, name: str, settings: Mapping[str, Any]) -> None:
        """Makes a study; nothing happens if it is there with equal settings.

        Args:
            name: 1 to 512 printable characters.
            settings: Plain values: text, numbers, lists, mappings.

        Raises:
            StoreError: If it is there with other settings; says which.
        """
        with self.session(writes=True) as session:
            studies.save(session, name, settings)
        self._joined.add(name)
        if self._signs is None:
            self._signs = Signs(self.give_sign_of_life)
            self._signs.start()

    def give_sign_of_life(self) -> None:
        """Of this process, in all studies that it has joined; a thread does, a few times an hour."""
        with self.session(writes=True) as session:
            studies.stay(session, set(self._joined))

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a study."""
        with self.session() as session:
            return studies.find(session, name).settings

    def studies(self) -> list[StudySummary]:
        """All studies, oldest first."""
        with self.session() as session:
            return studies.summaries(session)

    def ended(self, study: str) -> tuple[int, int] | None:
        """How many trials and how many searches of a study have ended; None: there is no such study."""
        with self.session() as session:
            return studies.ended(session, study)

    def company(self, study: str) -> tuple[str, ...]:
        """What tells this process from others that have the study open at the moment; nothing if none has."""
        with self.session() as session:
            return (owner.me(),) if studies.others_at_work(session, study) else ()

    def start(self, record: Record) -> None:
        """Notes, before it is trained, that this process runs a trial; its state is ``"running"``."""
        with self.session(writes=True) as session:
            trials.start(session, record)

    def touch(self, study: str, number: int) -> None:
        """Gives a sign of life of a running trial, beside those of its process."""
        with self.session(writes=True) as session:
            trials.touch(session, study, number)

    def finish(self, record: Record) -> None:
        """Writes what became of a started trial; its weights, if any, were put before.

        Raises:
            StoreError: If it was not started, or has ended already.
        """
        with self.session(writes=True) as session:
            trials.finish(session, record)

    def record(self, study: str, number: int) -> Record:
        """What is known of a trial."""
        with self.session() as session:
            found = trials.read(session, study, number)
            if not found:
                raise trials.missing(study, number)
            return found[0]

    @overload
    def records(self, of: str) -> list[Record]: ...
    @overload
    def records(
        self,
        of: Space,
        near: Fingerprint | None = None,
        limit: int = earlier.LIMIT,
        besides: Collection[str] = (),
        slow: bool = False,
    ) -> list[Record]: ...
    def records(
        self,
        of: str | Space,
        near: Fingerprint | None = None,
        limit: int = earlier.LIMIT,
        besides: Collection[str] = (),
        slow: bool = False,
    ) -> list[Record]:
        """What is known of all trials of a study, by number; or of scored ones that tell of a space.

        Args:
            of: A study's name, or a space: then the records are those of any study that have choices of
                it, with these choices only, of costs the seconds, and without weights and training curves.
            near: What the family at hand is like: the studies of the nearest come first. None: the newest.
            limit: Records at most, of a space.
            besides: Studies that are left out, of a space.
            slow: Whether trials are told, too, that took too long to get a score, of a space.
        """
        with self.session() as session:
            if isinstance(of, str):
                return trials.read(session, of)
            return earlier.records(session, of, near, limit, besides, slow)

    def fingerprint(self, key: str) -> Fingerprint | None:
        """What the family of that key is like, if a study has told; see :meth:`save_fingerprint`."""
        with self.session() as session:
            return earlier.fingerprint(session, key)

    def fingerprints(self) -> dict[str, Fingerprint]:
        """By study, what its family is like; older studies have none."""
        with self.session() as session:
            return earlier.fingerprints(session)

    def save_fingerprint(self, study: str, key: str, fingerprint: Fingerprint) -> None:
        """Notes what the family of a study is like.

        Args:
            study: Its name.
            key: 64 characters at most that stand for the family's data and setting.
            fingerprint: Of them.
        """
        with self.session(writes=True) as session:
            earlier.save_fingerprint(session, study, key, fingerprint)

    def put(self, data: bytes, kind: str) -> str:
        """Keeps bytes, once, and returns their SHA-256 in hexadecimal digits.

        Args:
            data: Below 1 GB.
            kind: What they are, in a word: ``"weights"``; the first word given stays.
        """
        with self.session(writes=True) as session:
            return artifacts.put(session, data, kind)

    def get(self, sha: str) -> bytes:
        """The bytes of that SHA-256.

        Raises:
            StoreError: If they are absent, or were altered.
        """
        with self.session() as session:
            return artifacts.get(session, sha)

    def save_snapshot(self, data: bytes, card: Mapping[str, Any], *, adopted: bool) -> str:
        """Keeps what a controller learned, and returns its SHA-256; searches use it once told to.

        Args:
            data: The snapshot.
            card: What it was made from and what was measured of it, in plain values.
            adopted: Whether it was found to help; else searches cannot be told to use it.
        """
        with self.session(writes=True) as session:
            return snapshots.save(session, data, card, adopted)

    def snapshots(self) -> list[Kept]:
        """All snapshots, oldest first."""
        with self.session() as session:
            return snapshots.every(session)

    def use_snapshot(self, start: str | None) -> Kept | None:
        """Has searches use the snapshot whose SHA-256 begins so; None: none.

        Raises:
            StoreError: If there is none, there are several, or it was refused.
        """
        with self.session(writes=True) as session:
            found = None if start is None else snapshots.find(session, start)
            if found is not None and not found.adopted:
                raise StoreError(
                    f"snapshot {found.sha[:12]} was refused: on recorded studies it did not help clearly"
                )
            snapshots.use(session, None if found is None else found.sha)
            return found

    def used_snapshot(self) -> tuple[Kept, bytes] | None:
        """The snapshot that searches use, and its bytes; None: they use none."""
        with self.session() as session:
            found = snapshots.used(session)
            return None if found is None else (found, artifacts.get(session, found.sha))

    def log(self, study: str, what: str, why: str = "", trial: int | None = None) -> None:
        """Adds a line to the log of a study: what happened, why, and to which trial."""
        with self.session(writes=True) as session:
            studies.log(session, study, what, why, trial)

    def events(self, study: str) -> list[Event]:
        """The log of a study, oldest first."""
        with self.session() as session:
            return studies.events(session, study)

    def look(self, study: str) -> int:
        """Counts one look at the study's test tasks; returns how many there were, this one included."""
        with self.session(writes=True) as session:
            return studies.look(session, study)

    def save_result(self, study: str, result: Mapping[str, Any]) -> None:
        """Adds what a search found, in plain values, as it ended."""
        with self.session(writes=True) as session:
            studies.save_result(session, study, result)

    def results(self, study: str) -> list[dict[str, Any]]:
        """What the searches of a study found, oldest first."""
        with self.session() as session:
            return studies.results(session, study)

    def close(self) -> None:
        """Closes all connections, Optuna's too. Never fails; a second time does nothing."""
        if self._signs is not None:
            self._signs.stop()
            self._signs = None
        # If we cannot say that we leave, our process will show it when it ends.
        with suppress(StoreError):
            if self._joined:
                with self.session(writes=True) as session:
                    studies.leave(session, self._joined)
        self._joined = set()
        if self._optuna is not None:
            from storage.optuna_storage import close_optuna

            close_optuna(self._optuna)
            self._optuna = None
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
