"""Whether a model can be meta-trained: one second-order step on two tasks, before a search relies on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from search_spaces.nni.network import ModelNetwork, naming, refusal, run
from search_spaces.task import Tensors

_TASKS, _ROWS = 2, 3
_WHAT = "cannot be meta-trained"


def examine(network: ModelNetwork, input_shape: tuple[int, ...]) -> None:
    """Takes a step as second-order MAML does.

    Raises:
        RuleError: If the model draws random numbers, changes its buffers, or has no second gradient; names
            the layer.
    """
    body, random = network.body, torch.Generator().manual_seed(0)
    params = network.init(random)
    x = torch.randn(_TASKS, _ROWS, *input_shape, generator=random)
    mask = torch.arange(_ROWS).expand(_TASKS, -1) < torch.tensor([[_ROWS], [_ROWS - 1]])
    _check_buffers(network, params, x[0])

    def loss(params: Tensors, x: Tensor, mask: Tensor) -> Tensor:
        return network.apply(params, x, mask, {})[0].square().mean()

    def outer(params: dict[str, Tensor], x: Tensor, mask: Tensor) -> Tensor:
        gradients = torch.func.grad(loss)(params, x, mask)
        return loss({name: value - 0.1 * gradients[name] for name, value in params.items()}, x, mask)

    with naming(network.name, body, _WHAT), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is batched one by one: slow, and right
        try:
            torch.func.vmap(torch.func.grad(outer), in_dims=(None, 0, 0))(params, x, mask)
        except RuntimeError as error:
            if "derivative" not in str(error):
                raise
            # on the way back no layer is being called
            raise refusal(network.name, body, _WHAT, _culprit(network, params, x[0]), error) from error


def _check_buffers(network: ModelNetwork, params: Tensors, x: Tensor) -> None:
    """A buffer, or an input, that a call changes would be another one at the next: it is not pure."""
    x = x.clone()
    given = {name: value.clone() for name, value in network.constants(x).items()}
    versions = {name: value._version for name, value in given.items()}
    after: dict[str, Tensor] = {}
    # at its end, while those that were given still stand in it, or what it has put in their places
    hook = network.body.register_forward_hook(lambda body, *_: after.update(body.named_buffers()))
    try:
        with naming(network.name, network.body, _WHAT), torch.no_grad():
            run(network.body, params, given, x, None, {})
    finally:
        hook.remove()
    if x._version:  # what it is given next would be another task, of which others are scored, too
        raise refusal(
            network.name, network.body, _WHAT, None, "its forward changes what it is given in place"
        )
    for name, value in given.items():
        if after[name] is not value or value._version != versions[name]:
            path, _, kind = name.rpartition(".")
            why = f"it changes its buffer {kind} when it is called"
            raise refusal(network.name, network.body, _WHAT, path, why)


def _culprit(network: ModelNetwork, params: Tensors, x: Tensor) -> str | None:
    """The path of the innermost layer that has no second gradient of its own."""
    met: dict[str, tuple[Any, Any]] = {}

    def noting(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(_: nn.Module, args: Any, kwargs: Any) -> None:
            met[path] = tree_map(lambda v: v.detach() if isinstance(v, Tensor) else v, (args, kwargs))

        return note

    layers = list(network.body.named_modules())
    hooks = [layer.register_forward_pre_hook(noting(p), with_kwargs=True) for p, layer in layers]
    try:
        run(network.body, params, network.constants(x), x, None, {})
    finally:
        for hook in hooks:
            hook.remove()
    for path, layer in reversed(layers):
        own = {n.removeprefix(f"{path}."): v for n, v in params.items() if n.startswith(f"{path}.")}
        network.body.call.used = {}
        if path in met and not _is_smooth(layer, own, *met[path]):
            return str(path)
    return None


def _is_smooth(layer: nn.Module, params: Tensors, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether a layer has second gradients, by its parameters and its inputs."""
    if not all(isinstance(value, Tensor) and value.is_floating_point() for value in tree_leaves(args)):
        return True  # by which nothing can be derived

    def first(given: Any) -> Tensor:
        params, args = given
        out = torch.func.functional_call(layer, params, args, dict(kwargs))
        return sum((v.square().sum() for v in tree_leaves(out) if isinstance(v, Tensor)), torch.zeros(()))

    def second(given: Any) -> Tensor:
        gradients = torch.func.grad(first)(given)
        return sum((v.square().sum() for v in tree_leaves(gradients)), torch.zeros(()))

    try:
        torch.func.grad(second)((dict(params), args))
    except Exception:  # of whatever kind: it has none
        return False
    return True
