"""Recipes against their papers' equations, each written out here anew, over three meta-steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from metanas.engine import Program
from metanas.testing.asserting import close
from metanas.testing.rules import draw, start
from search_spaces import Signature, Value, catalogue
from search_spaces.architectures import mlp
from search_spaces.errors import SpaceError, UnknownNameError
from search_spaces.rules import canonical, chain, expressions, gradient, keys, points, recipes, steps
from search_spaces.rules.descent import Descent
from search_spaces.task import Task

CURVES = Signature("regression", (2,), 1, 5)
CLASSES = Signature("classification", (3,), 3, 2)
KEYS, EPSILON, STEPS = (3, 4, 5), 0.05, 3
Params = dict[str, Tensor]
Loss = Callable[[Params, Task, float, int], Tensor]

LAYERS = ("network.layer0", "network.layer1", "head")
NAMES = [f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")]


# What all of the papers share: a multilayer perceptron and its loss.


def forward(p: Params, x: Tensor, after: Mapping[str, Tensor] | None = None) -> Tensor:
    """A perceptron; ``after``: matrices that follow a layer's affine map (T-net)."""
    for layer in LAYERS:
        x = x @ p[f"{layer}.weight"].T + p[f"{layer}.bias"]
        x = x @ after[f"{layer}.weight"].T if after else x
        x = x if layer == "head" else torch.tanh(x)
    return x


def loss_of(prediction: Tensor, y: Tensor) -> Tensor:
    if y.shape[1] == 1:
        return functional.mse_loss(prediction, y)
    return functional.cross_entropy(prediction, y.argmax(1))


def slopes_of(loss: Tensor, p: Params, names: list[str], first: bool = False) -> Params:
    found = torch.autograd.grad(loss, [p[n] for n in names], create_graph=not first)
    return dict(zip(names, found, strict=True))


def support(p: Params, task: Task) -> Tensor:
    return loss_of(forward(p, task["support_x"]), task["support_y"])


def query(p: Params, task: Task) -> Tensor:
    return loss_of(forward(p, task["query_x"]), task["query_y"])


# The papers.


def maml(rate: float, names: list[str] = NAMES, first: bool = False) -> Loss:
    """θ' = θ − α ∇θ L(θ), the outer loss L'(θ'); ANIL and BOIL change a part of θ."""

    def outer(p: Params, task: Task, progress: float, key: int) -> Tensor:
        for _ in range(STEPS):
            slopes = slopes_of(support(p, task), p, names, first)
            p = p | {n: p[n] - rate * slopes[n] for n in names}
        return query(p, task)

    return outer


def meta_sgd(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """θ' = θ − α ∘ ∇θ L(θ), with α of θ's shape."""
    for _ in range(STEPS):
        slopes = slopes_of(support(p, task), p, NAMES)
        p = p | {n: p[n] - p[f"rate.{n}"] * slopes[n] for n in NAMES}
    return query(p, task)


def epoch_weights(progress: float) -> list[float]:
    """MAML++: 1/N each, all but the last falling over 15 of 150 epochs to 0.03/N."""
    epoch, least, decay = 150 * progress, 0.03 / STEPS, 1 / STEPS / 15
    last = min(1 / STEPS + epoch * (STEPS - 1) * decay, 1 - (STEPS - 1) * least)
    return [*[max(1 / STEPS - epoch * decay, least)] * (STEPS - 1), last]


def maml_plus_plus(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """Σ v_i L'(θ_i), v by the epoch; α of each layer and step; first order until epoch 50 of 150."""
    weights, total = epoch_weights(progress), torch.zeros(())
    for step in range(STEPS):
        slopes = slopes_of(support(p, task), p, NAMES)
        rates = {n: p[f"rate.{n.rpartition('.')[0]}"][step].exp() for n in NAMES}
        p = p | {
            n: p[n] - rates[n] * (slopes[n].detach() if 150 * progress < 50 else slopes[n]) for n in NAMES
        }
        total = total + weights[step] * query(p, task)
    return total


def cavia(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """Only φ, zero at first, is adapted; the first layer sees x and φ side by side."""
    wide = torch.cat([p["network.layer0.weight"], p["context.network.layer0.bias"]], 1)
    wider = p | {"network.layer0.weight": wide}

    def loss(context: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return loss_of(forward(wider, torch.cat([x, context.expand(len(x), -1)], 1)), y)

    context = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    for _ in range(STEPS):
        inner = loss(context, task["support_x"], task["support_y"])
        context = context - torch.autograd.grad(inner, context, create_graph=True)[0]  # α = 1
    return loss(context, task["query_x"], task["query_y"])


def t_net(masked: bool) -> Loss:
    """y = T (W x + b), W and b ← W, b − α M ⊙ ∇; M = σ(ζ + two Gumbels' difference), a row an output."""

    def outer(p: Params, task: Task, progress: float, key: int) -> Tensor:
        prefix = "metric.warp." if masked else "metric."
        t = {f"{layer}.weight": p[f"{prefix}{layer}.weight"] for layer in LAYERS}
        masks = dict.fromkeys(LAYERS, torch.ones((), dtype=torch.float64))
        if masked:
            order = sorted(LAYERS)
            logits = torch.cat([p[f"metric.mask.{layer}"] for layer in order])
            u = keys.uniform(
                torch.tensor(key), len(logits), logits
            )  # only where the noise comes from is ours
            relaxed = torch.sigmoid(logits + torch.log(u / (1 - u)))
            masks = dict(zip(order, relaxed.split([len(p[f"{layer}.bias"]) for layer in order]), strict=True))
        for _ in range(STEPS):
            inner = loss_of(forward(p, task["support_x"], t), task["support_y"])
            slopes = slopes_of(inner, p, NAMES)
            moved = {
                n: masks[n.rpartition(".")[0]].reshape(-1, *[1] * (slopes[n].ndim - 1)) * slopes[n]
                for n in NAMES
            }
            p = p | {n: p[n] - 0.01 * moved[n] for n in NAMES}
        return loss_of(forward(p, task["query_x"], t), task["query_y"])

    return outer


def meta_curvature(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """θ' = θ − α M_o G M_iᵀ for matrices."""
    for _ in range(STEPS):
        slopes = slopes_of(support(p, task), p, NAMES)
        for name in (n for n in NAMES if n.endswith("weight")):
            out, into = p[f"metric.{name}.0"], p[f"metric.{name}.1"]
            slopes[name] = torch.einsum("ao,oi,bi->ab", out, slopes[name], into)
        p = p | {n: p[n] - 0.01 * slopes[n] for n in NAMES}
    return query(p, task)


def proto_maml(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """W_k = 2 c_k, b_k = −|c_k|² with the prototypes c; then MAML on all of it."""
    hidden = task["support_x"]
    for layer in LAYERS[:2]:
        hidden = torch.tanh(hidden @ p[f"{layer}.weight"].T + p[f"{layer}.bias"])
    labels = task["support_y"].argmax(1)
    centres = torch.stack([hidden[labels == k].mean(0) for k in range(3)])
    p = p | {"head.weight": 2 * centres, "head.bias": -(centres.norm(dim=1) ** 2)}
    p = {
        n: value.clone() for n, value in p.items()
    }  # for the inner steps, the head is parameters like others
    return maml(0.4)(p, task, progress, key)


def cell(p: Params, name: str, inputs: int) -> nn.LSTMCell:
    """Torch's own cell with those weights, which keep their gradients."""
    made = nn.LSTMCell(inputs, 20, dtype=torch.float64)
    for ours, theirs in (("input", "weight_ih"), ("hidden", "weight_hh"), ("bias", "bias_ih")):
        delattr(made, theirs)
        setattr(made, theirs, p[f"direction.{name}.{ours}"])
    delattr(made, "bias_hh")
    made.bias_hh = torch.zeros(80, dtype=torch.float64)
    return made


def told(values: Tensor) -> Tensor:
    rows = [
        [v.abs().log() / 10, v.sign()] if v.abs() >= torch.e**-10 else [torch.tensor(-1.0), torch.e**10 * v]
        for v in values.detach()
    ]
    return torch.stack([torch.stack([a.double(), b.double()]) for a, b in rows])


def flat(p: Params) -> Tensor:
    return torch.cat([p[n].flatten() for n in NAMES])


def named(vector: Tensor, like: Params) -> Params:
    parts = vector.split([like[n].numel() for n in NAMES])
    return like | {n: part.reshape(like[n].shape) for n, part in zip(NAMES, parts, strict=True)}


def coordinate_lstm(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """θ_{t+1} = θ_t + 0.1 g_t, (g_t, h) = LSTM(∇_t, h); no gradient through ∇; a loss after each step."""
    first, second = cell(p, "first", 2), cell(p, "second", 20)
    a = b = None
    now, losses = p, []
    for _ in range(STEPS):
        slope = flat(slopes_of(support(now, task), now, NAMES, first=True))
        a = first(told(slope), a)
        b = second(a[0], b)
        now = named(flat(now) + 0.1 * (b[0] @ p["direction.out"] + p["direction.shift"]), now)
        losses.append(query(now, task))
    return torch.stack([w * loss for w, loss in zip(epoch_weights(progress), losses, strict=True)]).sum()


def meta_lstm(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """θ_t = f_t ⊙ θ_{t−1} − i_t ⊙ ∇_t, the gates σ(W [h_t, θ_{t−1}, gate_{t−1}] + b), |∇_t| bounded."""
    first, state, now = cell(p, "first", 4), None, p
    forget = take = torch.zeros(len(flat(p)), dtype=torch.float64)
    for _ in range(STEPS):
        loss = support(now, task)
        slope = flat(slopes_of(loss, now, NAMES, first=True)).detach()
        slope = slope * torch.clamp(p["limit.log"].exp() / (slope @ slope).sqrt(), max=1)
        seen = torch.cat([told(slope), told(loss.reshape(1)).expand(len(slope), 2)], 1)
        state = first(seen, state)
        rows = [torch.cat([state[0], flat(now)[:, None], g[:, None]], 1) for g in (forget, take)]
        forget = torch.sigmoid(rows[0] @ p["direction.forget.weight"] + p["direction.forget.bias"])
        take = torch.sigmoid(rows[1] @ p["direction.input.weight"] + p["direction.input.bias"])
        now = named(forget * flat(now) - take * slope, now)
    return query(now, task)


def reptile(p: Params, task: Task, progress: float, key: int) -> Tensor:
    """A loss whose gradient is θ − φ, φ being what SGD on all examples makes of θ."""
    x, y = (torch.cat([task[f"support_{part}"], task[f"query_{part}"]]) for part in "xy")  # type: ignore[literal-required]
    now = {n: p[n].detach().requires_grad_() for n in NAMES}
    for _ in range(STEPS):
        slopes = slopes_of(loss_of(forward(now, x), y), now, NAMES, first=True)
        now = {n: (now[n] - 0.02 * slopes[n]).detach().requires_grad_() for n in NAMES}
    return torch.stack([((p[n].detach() - now[n].detach()) * p[n]).sum() for n in NAMES]).sum()


HEAD, BODY = NAMES[4:], NAMES[:4]
REFERENCES: dict[str, tuple[Loss, Signature]] = {
    "maml": (maml(0.01), CURVES),
    "first-order-maml": (maml(0.01, first=True), CURVES),
    "reptile": (reptile, CURVES),
    "maml++": (maml_plus_plus, CURVES),
    "meta-sgd": (meta_sgd, CLASSES),
    "anil": (maml(0.01, HEAD), CURVES),
    "boil": (maml(0.4, BODY), CLASSES),
    "cavia": (cavia, CURVES),
    "t-net": (t_net(masked=False), CURVES),
    "mt-net": (t_net(masked=True), CURVES),
    "meta-curvature": (meta_curvature, CURVES),
    "proto-maml": (proto_maml, CLASSES),
    "lstm": (coordinate_lstm, CURVES),
    "meta-lstm": (meta_lstm, CURVES),
}


def test_every_recipe_has_a_reference() -> None:
    assert REFERENCES.keys() == recipes.RECIPES.keys()


@pytest.mark.parametrize("name", REFERENCES)
def test_a_recipe_is_what_its_paper_says(name: str) -> None:
    """Three inner steps, over three outer steps of SGD: losses and all that is meta-trained agree."""
    outer, signature = REFERENCES[name]
    rule = rule_of(name, signature, steps=STEPS)
    program, (flat_meta, _) = Program.of(rule), start(rule)
    fixed = {n: value.double() for n, value in rule.init(torch.Generator())[1].items()}
    begun = program.meta.unflatten(flat_meta)
    if "limit.log" in begun:
        begun = begun | {"limit.log": torch.tensor(-3.0, dtype=torch.float64)}  # short of any gradient here
    ours = theirs = begun
    for step, (progress, key) in enumerate(zip((0.05, 0.2, 0.9), KEYS, strict=True)):
        task = draw(signature, seed=step)
        now, done = torch.tensor(key), torch.tensor(progress, dtype=torch.float64)
        ours, our_loss = descended(ours, lambda p: rule.outer_loss(p, fixed, task, now, done)[0])  # noqa: B023
        theirs, their_loss = descended(theirs, lambda p: outer(p, task, progress, key))  # noqa: B023
        if name != "reptile":  # whose paper has no loss
            close(our_loss, their_loss, 1e-6, "losses")
    for tensor in begun:
        close(ours[tensor], theirs[tensor], 1e-6, tensor)
    assert {n for n in begun if torch.equal(begun[n], ours[n])} == set(), "not all of it is meta-trained"


def descended(meta: Params, loss: Callable[[Params], Tensor]) -> tuple[Params, Tensor]:
    free = {name: value.detach().requires_grad_() for name, value in meta.items()}
    value = loss(free)
    slopes = torch.autograd.grad(value, list(free.values()), materialize_grads=True, allow_unused=True)
    moved = {n: p.detach() - EPSILON * s for (n, p), s in zip(free.items(), slopes, strict=True)}
    return moved, value.detach()


def rule_of(name: str, signature: Signature, **changes: Value) -> Descent:
    settings = {"depth": 2, "width_1": 5, "width_2": 4, "activation": "tanh", "norm": "none"}
    choices = recipes.RECIPES[name].choices(signature) | changes
    rule = chain.build(choices, mlp.build(settings, signature), signature)
    assert isinstance(rule, Descent)
    return rule


@pytest.mark.parametrize("name", recipes.RECIPES)
@pytest.mark.parametrize("signature", [CURVES, CLASSES], ids=["regression", "classification"])
def test_a_recipe_is_a_point_of_the_wide_space(
    name: str, signature: Signature, rng: np.random.Generator
) -> None:
    space = catalogue.space(points.WIDE, signature)
    if signature.kind not in recipes.recipe(name).kinds:
        with pytest.raises(SpaceError, match="is for classification"):
            points.point(name, space, signature)
        return
    fixed = points.point(name, space, signature)
    candidate = space.walk(lambda choice: fixed.get(choice.name, choice.draw(rng)))
    assert {n: v for n, v in candidate.items() if n.startswith("rule")} == fixed


WRITTEN = {
    "sgd": "g",
    "momentum": "m",
    "nesterov": "g + m",
    "rmsprop": "g/sqrt(abs(v) + ε**2)",
    "adam": "m/sqrt(abs(v) + ε**2)",
    "sign-sgd": "sign(g)",
    "lion": "sign(g + m)",
    "add-sign": "g*(1 + sign(g)*sign(m))",
    "hypentropy": "g*sqrt(abs(θ**2 + c1) + ε**2)",
    "metaplasticity": "g*(1 - tanh(c1*θ)**2)",
}


@pytest.mark.parametrize("name", steps.STEPS)
def test_a_known_step_is_a_point_of_the_space_of_formulas(name: str, rng: np.random.Generator) -> None:
    space = catalogue.space(points.WRITTEN, CURVES)
    candidate = points.candidate(name, space, CURVES, rng)
    program = expressions.Program.of(candidate.part("rule.symbolic"))
    assert canonical.identity(program) == canonical.identity(expressions.read(WRITTEN[name]))
    assert candidate["rule.symbolic.rate"] == steps.STEPS[name].rate
    with pytest.raises(SpaceError, match=f"{name} is no point of space default: take --space symbolic"):
        points.point(name, catalogue.space("default", CURVES), CURVES)


@pytest.mark.parametrize("name", ["maml", "first-order-maml", "anil", "boil"])
def test_the_usual_space_says_the_nearest_kin_in_its_own_words(name: str) -> None:
    """The rule ``gradient`` with those settings computes what ``chain`` does."""
    found = points.point(name, catalogue.space("default", CLASSES), CLASSES)
    assert found["rule"] == "gradient"
    assert found["rule.gradient.order"] == (1 if name == "first-order-maml" else 2)
    network = mlp.build({"depth": 1, "width_1": 5, "activation": "tanh", "norm": "none"}, CLASSES)
    settings = {n.removeprefix("rule.gradient."): v for n, v in found.items() if n != "rule"}
    one = gradient.build(settings, network, CLASSES)
    other = chain.build(recipes.RECIPES[name].choices(CLASSES), network, CLASSES)
    (meta, buffers), task = start(one), draw(CLASSES)
    assert Program.of(one).meta == Program.of(other).meta
    first, second = (Program.of(rule).adapt_predict(meta, buffers, task) for rule in (one, other))
    assert torch.equal(first, second)


def test_what_a_space_does_not_have_names_one_that_does() -> None:
    with pytest.raises(SpaceError, match="t-net is no point of space default: take --space gradient-methods"):
        points.point("t-net", catalogue.space("default", CURVES), CURVES)
    with pytest.raises(SpaceError, match="maml is no point of space closed-form"):
        points.point("maml", catalogue.space("closed-form", CURVES), CURVES)
    with pytest.raises(UnknownNameError, match=r"no recipe called 'mamml' \(known: maml, first-order-maml, "):
        recipes.recipe("mamml")


@pytest.mark.parametrize("space", ["default", points.WIDE])
def test_a_search_begins_on_the_papers_network(space: str, rng: np.random.Generator) -> None:
    images = Signature("classification", (1, 28, 28), 5, 1)
    found = points.candidate("maml", catalogue.space(space, images), images, rng)
    catalogue.space(space, images).validate(found)
    assert found["architecture"] == "conv"
    assert (found["architecture.conv.depth"], found["architecture.conv.width"]) == (4, 32)
    assert found["outer.ways"] == 5
    curves = points.candidate("maml", catalogue.space(space, CURVES), CURVES, rng)
    assert (curves["architecture.mlp.width_1"], curves["architecture.mlp.width_2"]) == (40, 40)
    assert catalogue.build(curves, CURVES).network.size == 40


def test_what_a_narrower_space_does_not_have_of_the_network_is_drawn(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    file = tmp_path / "small.toml"
    file.write_text("[architecture.mlp]\nwidth_1 = 7\n")
    space = catalogue.space(str(file), CURVES)
    assert points.candidate("anil", space, CURVES, rng)["architecture.mlp.width_1"] == 7
    file.write_text('[rule.gradient]\nscope = "all"\n')
    with pytest.raises(SpaceError, match="anil is no point of space small"):
        points.candidate("anil", catalogue.space(str(file), CURVES), CURVES, rng)
