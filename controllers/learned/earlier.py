"""What earlier studies say of candidates: a small process of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from controllers.learned.agreement import Agreement, agreement
from controllers.learned.codes import SAME, Codes
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.observed import Observed
from controllers.learned.process import Process
from controllers.learned.recorded import of_records, scored
from controllers.learned.scales import closeness
from controllers.learned.several import Several
from controllers.learned.snapshot import Opinion
from search_spaces import Record

_MOST, _FEWEST = 128, 8  # records of a study that are used, and without which it says nothing
_TOGETHER = 2048  # records of all studies: a proposal takes as long whether they are of 16 studies or of 50
_LEAST = 24  # that are used of each, however many there are
_STEPS = 25  # of fitting each
_DISTANCE = 0.5  # of a family that nothing is known of
_TRUST = 4.0  # by which a distance of 1 lowers the logarithm of a study's weight
_TOPS = 20  # best candidates of each study that are looked at
_GOOD = 5  # a fifth of what is drawn, the highest, is good enough to begin with
_APART, _FEW_CHOICES = 3, 2  # a third of a candidate's choices differ from all that was tried, two at least
_DRAWN, _CLIMBS, _STEPPED, _KEPT = 1000, 4, 5, 100  # of the search for what the studies rank high
_FEW = 10  # studies; from which on their best ones alone begin a search


class Earlier:
    """See the module.

    Args:
        codes: Of the space.
        features: Of its candidates.
        records: Of all studies.
        distances: By study, how far its family is; see :class:`search_spaces.fingerprint.Fingerprint`.
        opinion: Of a snapshot, by its name: it is heard as one more study, and as that trusted as far as it
            is right; none: there is no snapshot.
        timed: Whether candidates are wanted that come far in little time.

    Attributes:
        names: Of the studies that say something, and of the snapshot.
        far: ``(S,)``: by how much each is trusted less, in logarithms.
        agreement: Of the studies with each other.
        start: Trials of this search that they choose alone: few if their families are far away, 0 where
            they do not agree.
        is_enough: Whether a search needs no other start.
    """

    def __init__(
        self,
        codes: Codes,
        features: Features,
        records: Sequence[Record],
        distances: Mapping[str, float],
        opinion: Mapping[str, Opinion] | None = None,
        timed: bool = False,
    ) -> None:
        self._codes, self._features = codes, features
        by_study: dict[str, list[Record]] = {}
        for record in records:
            by_study.setdefault(record.study, []).append(record)
        seen = {name: of_records(found, codes, timed) for name, found in by_study.items()}
        seen = {name: found for name, found in seen.items() if len(scored(by_study[name])) >= _FEWEST}
        opinion = opinion or {}
        self.names = [*seen, *opinion]
        apart = [distances.get(name, _DISTANCE if distances else 0.0) for name in seen]
        # it knows no family: among studies it counts as one of which nothing is known
        self.far = _TRUST * np.array(apart + [_DISTANCE if seen and distances else 0.0] * len(opinion))
        most = min(_MOST, max(_LEAST, _TOGETHER // max(1, len(seen))))
        processes = [self._process(found, most) for found in seen.values()]
        self._several = Several(features, processes) if processes else None
        self._opinions = list(opinion.values())
        self._tops = [found.rows[np.argsort(-found.targets)[:_TOPS]] for found in seen.values()]
        self.agreement = self._agreement(processes)
        self.start, self._uniform, self.is_enough = self._begun(len(seen))

    def _begun(self, studies: int) -> tuple[int, int, bool]:
        """How many trials they begin a search with, uniform ones of these, and whether that is enough."""
        most, uniform = (4, 2) if studies < _FEW else (10, 0)
        is_heard = bool(self.names) and self.agreement.is_followed
        chosen = round(most * closeness(self.far)) if is_heard else 0
        return (chosen + uniform, uniform, True) if chosen == most else (chosen, 0, False)

    def predictions(self, x: np.ndarray) -> np.ndarray:
        """``(N, S)``: what each study expects of candidates with those features."""
        at = Data.whole(x)
        told = at.z if self._several is None else self._several.means(x)
        return np.concatenate([told, *(opinion.mean(at)[:, None] for opinion in self._opinions)], 1)

    def _agreement(self, processes: Sequence[Process]) -> Agreement:
        expected = [self.predictions(p.points.x)[:, : len(processes)] for p in processes]
        return agreement([p.targets for p in processes], expected, np.exp(-self.far[: len(processes)]))

    def first(self, index: int, tried: set[bytes], rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """The candidate to begin a search with after so many others, and how it was chosen.

        What the studies rank highest together, and differs in many choices from all that was tried; then a
        few uniform ones.
        """
        if self.start - self._uniform <= index < self.start:
            rows = self._codes.uniform(rng, _DRAWN)
            fresh = [r for r in rows[self._codes.legal(rows)] if r.tobytes() not in tried]
            if fresh:
                return fresh[0], "uniform"
        known = np.array([np.frombuffer(key) for key in sorted(tried)]).reshape(-1, self.best.shape[1])
        rows = np.concatenate(self._found)
        clear = (row for row in rows if self._apart(row, known) >= 1)
        found = next(clear, None)
        return max(rows, key=lambda row: self._apart(row, known)) if found is None else found, "earlier"

    @property
    def best(self) -> np.ndarray:
        """``(100, J)``: what the studies rank highest together, found by climbing; the highest first."""
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[np.ndarray, np.ndarray]:
        """The best, and ``(N, J)`` good ones that the climbing began with, which differ more."""
        rng = np.random.default_rng(0)
        drawn = self._codes.uniform(rng, _DRAWN)
        tops = self._codes.repaired(np.concatenate([*self._tops, drawn[:0]]), rng)
        others = self._highest(np.concatenate([tops, drawn]))
        best = others[:_KEPT]
        for _ in range(_CLIMBS):
            near = self._codes.neighbours(np.repeat(best, _STEPPED, 0), rng, 1)
            best = self._highest(np.concatenate([best, near]))[:_KEPT]
        return best, others[: len(others) // _GOOD]

    def _highest(self, rows: np.ndarray) -> np.ndarray:
        """All of them, once each, the highest first."""
        rows = rows[self._codes.legal(rows)]
        rows = np.array(list({row.tobytes(): row for row in rows}.values()))
        x = self._features.of(rows)
        together = self.predictions(x) @ shares(self.far)
        return rows[np.argsort(-together, kind="stable")]

    def _apart(self, row: np.ndarray, known: np.ndarray) -> float:
        """In how many choices a row differs from all others, as a part of those that are asked of it.

        Where there are many choices, much is asked: networks that all cost too much differ in how they are
        trained.
        """
        asked = max(int((~np.isnan(row)).sum()) // _APART, _FEW_CHOICES)
        differing = self._codes.differing(row, known, SAME if asked > _FEW_CHOICES else 0.0)
        return float(differing.min(initial=asked)) / asked

    def _process(self, seen: Observed, most: int) -> Process:
        """Fitted to the best, and as many of the rest, evenly from the next to the worst."""
        order, half = np.argsort(-seen.targets, kind="stable"), most // 2
        rest = order[half:]
        even = np.linspace(0, len(rest) - 1, half).astype(int) if len(rest) > half else slice(None)
        used = np.concatenate([order[:half], rest[even]])
        whole = Data.whole(self._features.of(seen.rows[used]))
        data = whole._replace(missing=seen.missing[used], noise=seen.noise[used])
        process = Process(self._features)
        process.fit(data, seen.targets[used], _STEPS)
        return process


def shares(far: np.ndarray) -> np.ndarray:
    """``(S,)`` parts of studies in what they say together."""
    found: np.ndarray = np.exp(-far) / np.exp(-far).sum() if len(far) else far
    return found
