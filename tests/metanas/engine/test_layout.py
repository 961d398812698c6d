"""Named tensors to one vector and back."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metanas.engine import Layout

SHAPES = st.dictionaries(st.text(max_size=4), st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SHAPES, st.randoms())
def test_what_goes_in_comes_out(shapes: dict[str, tuple[int, ...]], random: object) -> None:
    tensors = {
        name: torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape) + 100 * i
        for i, (name, shape) in enumerate(shapes.items())
    }
    layout = Layout.of(tensors)
    assert layout.size == sum(tensor.numel() for tensor in tensors.values())
    names = list(tensors)
    random.shuffle(names)
    flat = layout.flatten({name: tensors[name] for name in names})
    assert flat.shape == (layout.size,)
    back = layout.unflatten(flat)
    assert list(back) == list(tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert torch.equal(layout.flatten(back), flat)


def test_parts_are_views() -> None:
    layout = Layout.of({"a": torch.zeros(2, 2), "b": torch.zeros(())})
    flat = torch.zeros(5)
    layout.unflatten(flat)["b"].fill_(3)
    assert flat.tolist() == [0, 0, 0, 0, 3]


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(RuntimeError):
        Layout.of({"a": torch.zeros(3)}).unflatten(torch.zeros(4))


def test_a_missing_tensor_is_not_passed_over() -> None:
    with pytest.raises(KeyError, match="b"):
        Layout.of({"a": torch.zeros(3), "b": torch.zeros(1)}).flatten({"a": torch.zeros(3)})
