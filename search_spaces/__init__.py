"""The ground floor: what can be built, and the values all floors speak of."""

from search_spaces.candidate import Candidate, Value
from search_spaces.choices import Categorical, Choice, Integer, Real, prefixed
from search_spaces.record import Costs, Record, Score, State
from search_spaces.signature import Signature
from search_spaces.space import Forbidden, Space
from search_spaces.variation import crossover, mutate

__all__ = [
    "Candidate",
    "Categorical",
    "Choice",
    "Costs",
    "Forbidden",
    "Integer",
    "Real",
    "Record",
    "Score",
    "Signature",
    "Space",
    "State",
    "Value",
    "crossover",
    "mutate",
    "prefixed",
]
