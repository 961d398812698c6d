"""What a model space asks, and what of it only if something else was chosen."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

from search_spaces import Categorical, Integer, Signature, Space
from search_spaces.errors import SpaceError
from tests.search_spaces.nni.spaces import Pictures, Recreated, Vectors

nni = pytest.importorskip("nni", reason="NNI is not installed on this machine")
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, Repeat  # noqa: E402

from search_spaces.nni import tree  # noqa: E402
from search_spaces.nni.models import ModelArchitecture  # noqa: E402

TABLES = Signature("regression", (3,), 1, 5)


class Space_(ModelSpace):  # type: ignore[misc]
    """Made of what a test gives it."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        made = make()
        self.layers = nn.ModuleList(thing for thing in made if isinstance(thing, nn.Module))
        for thing in (thing for thing in made if not isinstance(thing, nn.Module)):
            self.add_mutable(thing)

    def forward(self, x: Tensor) -> Any:
        return x


def choices(make: Any) -> tuple[Any, ...]:
    return tree.read(Space_(make)).choices


def layers(label: str, *candidates: nn.Module) -> Any:
    return LayerChoice(list(candidates) or [nn.ReLU(), nn.Tanh()], label=label)


def test_what_is_not_chosen_asks_nothing() -> None:
    found = Space("vectors", ModelArchitecture("nni:m:Vectors", Vectors).choices(TABLES))
    acts = [Categorical(f"act_{i}", (0, 1)) for i in range(3)]
    assert found.choices == (
        Categorical("width", (6, 8)),
        Categorical("act", ("tanh", "smooth"), {"smooth": (Categorical("inner", (0, 1)),)}),
        Categorical("more", (1, 2, 3), {2: (acts[1],), 3: (acts[1], acts[2])}, ordered=True),
        acts[0],
    )
    assert Space.from_json(found.to_json()) == found


def test_values_that_are_no_text_and_no_whole_number_are_said_as_text() -> None:
    """And NNI gets its own: reals would not change a computation's shape here, these do."""
    pictures = tree.read(Pictures((1, 8, 8)))
    found = {choice.name: choice.values for choice in pictures.choices if isinstance(choice, Categorical)}
    assert found == {"kernel": ("(1, 1)", "(3, 3)"), "join": ("0+1", "0+2", "1+2"), "pool": (0, 1)}
    sample = pictures.sample({"kernel": "(3, 3)", "join": "0+2", "pool": 1})
    assert sample == {"kernel": (3, 3), "join": [0, 2], "pool": 1}
    recreated = tree.read(Recreated())
    assert recreated.choices == (
        Categorical("recreated.depth", (1, 2)),
        Categorical("recreated.scale", ("0.5", "2.0")),
    )
    said = recreated.sample({"recreated.depth": 2, "recreated.scale": "2.0"})
    assert said == {"recreated/depth": 2, "recreated/scale": 2.0}


def test_what_is_inactive_has_a_value_all_the_same() -> None:
    """NNI's modules may be made again, with those that are not chosen."""
    assert tree.read(Vectors((3,))).sample({"act": "tanh", "width": 8}) == {
        **{"act": "tanh", "width": 8, "more": 1, "inner": 0},
        **{f"act_{i}": 0 for i in range(3)},
    }


def test_a_label_at_several_places_is_asked_once() -> None:
    assert choices(lambda: [layers("outer", layers("shared"), layers("shared"), nn.Identity())]) == (
        Categorical("outer", (0, 1, 2), {v: (Categorical("shared", (0, 1)),) for v in (0, 1)}),
    )
    ab = (Categorical("a", (0, 1)), Categorical("b", (0, 1)))
    some = nn.ReLU()
    assert choices(lambda: [layers("a", layers("shared"), some), layers("b", layers("shared"), some)]) == (
        *ab,
        Categorical("shared", (0, 1)),
    )
    assert choices(lambda: [layers("a", layers("shared"), some), layers("shared")]) == (
        ab[0],
        Categorical("shared", (0, 1)),
    )

    def inner() -> Any:
        return layers("b", layers("c"), some)

    opening = Categorical("b", (0, 1), {0: (Categorical("c", (0, 1)),)})
    assert choices(lambda: [layers("a", inner(), some), inner()]) == (ab[0], opening)


def test_depths_and_inputs_of_every_kind() -> None:
    def computed() -> Any:
        return [Repeat(lambda i: layers(f"l{i}"), nni.choice("half", [1, 2]) * 2)]

    names = [choice.name for choice in choices(computed)]
    assert names == ["half", "l0", "l1", "l2", "l3"], "how many there are is not known: all are asked for"
    assert choices(lambda: [Repeat(nn.ReLU(), 3)]) == ()
    assert choices(lambda: [InputChoice(3, 1, label="one")]) == (Categorical("one", (0, 1, 2)),)
    (some,) = choices(lambda: [InputChoice(3, None, label="some")])
    assert some.values == ("0", "1", "2", "0+1", "0+2", "1+2", "0+1+2"), "never none of them"
    assert choices(lambda: [nni.quniform("whole", 2, 9, 1), nni.quniform("halves", 0.5, 1.5, 0.5)]) == (
        Integer("whole", 2, 9),
        Categorical("halves", ("0.5", "1.0", "1.5"), ordered=True),
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: [nni.uniform("w", 1, 9)], "NNI's number w is any real: make it a choice"),
        (lambda: [InputChoice(12, 6, label="many")], "NNI's many has 924 ways to choose"),
        (lambda: [layers("a"), layers("a", nn.ReLU(), nn.Tanh(), nn.ELU())], "labelled a"),
        (lambda: [nni.choice("w", [0.5, "0.5"])], "w has values that read the same"),
    ],
)
def test_what_has_no_counterpart_is_named(make: Any, said: str) -> None:
    with pytest.raises((SpaceError, ValueError), match=said):
        choices(make)
