"""What candidates are expected to improve, and of which results that is learned."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.learned.codes import Codes
from controllers.learned.earlier import Earlier
from controllers.learned.features import Features
from controllers.learned.kernel import Data
from controllers.learned.observed import Observed
from controllers.learned.scorer import Scorer
from search_spaces import Integer, Space


@pytest.mark.parametrize("most", [300, 20])
def test_what_is_known_improves_nothing_and_the_best_are_known_to_be(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """However many results there are: of more than are fitted, by the best and the latest."""
    monkeypatch.setattr("controllers.learned.scorer._MOST", most)
    codes = Codes(Space("line", (Integer("n", 1, 60),)))
    features, n = Features(codes), rng.permutation(60) + 1.0
    targets = 1 - np.abs(n - 40) / 15
    scorer = Scorer(features, Earlier(codes, features, [], {}))
    data = Data.whole(features.of(n[:, None]))
    scorer.fit(
        Observed(n[:, None], targets, np.zeros(60), np.ones(60), [*range(60)]), data, np.full(60, np.nan)
    )
    assert np.abs(n[scorer.parents] - 40).max() <= 6
    assert scorer.improvement(data)[0].max() < 0.2
    assert scorer.improvement(data)[0].argmax() in np.flatnonzero(np.abs(n - 40) < 10)
