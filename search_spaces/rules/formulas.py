"""A composed gradient rule as formulas that a person reads."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.candidate import Value

_ADAPTED = {
    "all": "θ: all parameters",
    "head": "θ: the head's parameters, the others stay",
    "body": "θ: all parameters but the head's, which stays",
    "context": "θ: a code of the task, 0 at first; C θ is added to the first layer, C learned",
}
_HEADS = {
    "shared": "every class begins with the same learned row of the head",
    "prototype": "the head begins as wₖ = 2 cₖ, bₖ = −|cₖ|², cₖ the mean feature of class k",
}
_LIMITS = {"norm": ("gₖ ← gₖ min(1, c/|gₖ|), c learned",), "value": ("gₖ ← gₖ cut at ±c, c learned",)}
_MAP = "each layer is y = T(Wx + b), T learned: a step moves TW by α T Tᵀ ∇"
_METRICS = {
    "tnet": (_MAP,),
    "mtnet": (_MAP, "gₖ ← M ⊙ gₖ, M = σ(ζ + noise) a row an output, ζ learned"),
    "curvature": ("gₖ ← Mₒ gₖ Mᵢ (of a convolution also along its places), matrices learned",),
}
_DIRECTIONS = {
    "momentum": ("dₖ = μ dₖ₋₁ + gₖ, μ learned",),
    "adam": ("dₖ = m̂ₖ / √(v̂ₖ + ε²), means of gradients and of their squares, memories learned",),
    "sign": ("dₖ = sign(gₖ)",),
    "lstm": ("dₖ = −LSTM(gₖ), of two layers, the same for every parameter, learned",),
    "meta_lstm": (
        "dₖ = (1 − fₖ) ⊙ θₖ + iₖ ⊙ gₖ",
        "gates f = σ(W_f [h, θₖ, fₖ₋₁] + b_f), i alike; h an LSTM of gradient and loss, learned",
    ),
}
_PULLS = {"start": ("gₖ ← gₖ + λ (θₖ − θ₀), or dₖ for what became of it, λ learned",)}
_SIZES = {"layer": "one a layer", "tensor": "one a tensor", "parameter": "one a parameter"}
_ORDERS = {
    "first": "; none of it through a gₖ",
    "second": "",
    "annealed": "; in the first third of meta-training none of it through a gₖ",
}
_LOSSES = {
    "last": "meta-training: the slope of L(θ_K; query)",
    "every": "meta-training: the slope of Σ vₖ L(θₖ; query), weights v soon nearly all on the last",
    "distance": "meta-training: θ₀ moves toward θ_K, with all of a task's examples as its support",
}


def formula(choices: Mapping[str, Value]) -> tuple[str, ...]:
    """The lines of a setting of the rule ``chain``.

    Example:
        >>> formula({"steps": 5, "loss": "distance", "rate": 0.02})[2]
        'θₖ₊₁ = θₖ − α gₖ for k = 0 … 4, α = 0.02'
    """
    words = {name: str(value) for name, value in choices.items()}
    places = (("limit", _LIMITS), ("metric", _METRICS), ("direction", _DIRECTIONS), ("pull", _PULLS))
    moves = [line for place, known in places for line in known.get(words.get(place, "none"), ())]
    return (adapted(words), "gₖ = ∇L(θₖ; support)", *moves, _step(words, choices), outer(words))


def adapted(words: Mapping[str, str]) -> str:
    """What the inner loop changes, and how the head begins."""
    head = _HEADS.get(words.get("head", "rows"))
    return "; ".join([_ADAPTED[words.get("scope", "all")], *([head] if head else [])])


def _step(words: Mapping[str, str], choices: Mapping[str, Value]) -> str:
    last = int(words["steps"]) - 1
    turned = words.get("direction", "gradient") != "gradient"
    move = f"{'α ' if 'rate' in words else ''}{'d' if turned else 'g'}ₖ"
    return f"θₖ₊₁ = θₖ − {move} for k = 0{f' … {last}' if last else ''}{_size(words, choices)}"


def _size(words: Mapping[str, str], choices: Mapping[str, Value]) -> str:
    if "rate" not in words:
        return ""
    per, _, each = words.get("step_size", "fixed").partition("_")
    if per == "fixed":
        return f", α = {float(choices['rate']):.3g}"
    return f", α learned from {float(choices['rate']):.3g} on, {_SIZES[per]}{' and step' if each else ''}"


def outer(words: Mapping[str, str]) -> str:
    """What meta-training follows the slope of."""
    loss = words.get("loss", "last")
    return _LOSSES[loss] + ("" if loss == "distance" else _ORDERS[words.get("order", "second")])
