"""A model of NNI's as a network of ours: pure functions of its parameters, without its head."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import is_lazy

from search_spaces.architectures import norms
from search_spaces.errors import RuleError
from search_spaces.nni.guard import LOCK
from search_spaces.task import Tensors

_ROWS = 2  # of examples by which a model's output is found
Make = Callable[[int], nn.Module]  # a seed → the model, initialised


def is_batch_norm(layer: nn.Module) -> bool:
    """Whether its statistics are taken over a batch."""
    return isinstance(layer, _BatchNorm)


@dataclass
class _Call:
    """What the norms of one call share."""

    mask: Tensor | None = None
    given: Tensors = field(default_factory=dict)
    used: dict[str, Tensor] = field(default_factory=dict)


class _Norm(nn.Module):
    """Stands where a batch norm stood, and keeps nothing: its statistics are the caller's."""

    def __init__(self, path: str, theirs: _BatchNorm, norm: str, call: _Call) -> None:
        super().__init__()
        self.path, self.norm, self.call = path, norm, call
        self.kind, self.channels, self.epsilon = type(theirs).__name__, theirs.num_features, theirs.eps
        self.weight, self.bias = theirs.weight, theirs.bias  # None where it is not affine

    def forward(self, x: Tensor) -> Tensor:
        call, mean, var = self.call, f"{self.path}.mean", f"{self.path}.var"
        if mean in call.used:
            raise ValueError("a batch norm that is used twice: give each place one of its own")
        scale = x.new_ones(self.channels) if self.weight is None else self.weight
        bias = x.new_zeros(self.channels) if self.bias is None else self.bias
        params = {f"{self.path}.scale": scale, f"{self.path}.bias": bias}
        given = {name: call.given[name] for name in (mean, var)} if call.given else {}
        out, used = norms.normalise(self.norm, params, self.path, x, call.mask, given, self.epsilon)
        call.used |= used
        return out


class Body(nn.Module):
    """A model as a skeleton: its parameters have shapes and no content, its head is gone.

    Attributes:
        net: The model.
        call: What its norms read and write.
    """

    def __init__(self, net: nn.Module, norm: str) -> None:
        super().__init__()
        self.net, self.call = net, _Call()
        layers = dict(self.named_modules(remove_duplicate=False))
        made: dict[nn.Module, nn.Module] = {}  # a layer that is used at two places stays one
        for path, layer in layers.items():
            if getattr(layer, "inplace", False) is True:
                layer.inplace = False  # the examples are the caller's
            if is_batch_norm(layer):
                made.setdefault(layer, _Norm(path, layer, norm, self.call))
            elif isinstance(layer, _DropoutNd) and layer.p == 0:
                made.setdefault(layer, nn.Identity())
        for path, layer in layers.items():
            if layer in made:
                self.put(path, made[layer])

    def put(self, path: str, layer: nn.Module) -> None:
        """Puts a layer where that of the path stood."""
        parent, _, name = path.rpartition(".")
        setattr(self.get_submodule(parent), name, layer)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


@dataclass(frozen=True, eq=False)
class ModelNetwork:
    """A model of NNI's with one value for each of its choices, as a :class:`Network`.

    Where its forward ends with a linear layer, that is its head and is taken off: the rule has its own. Batch
    norms normalise by the statistics that they are told to, and keep none.

    Attributes:
        name: Of the model space, for errors.
        make: The model.
        norm: ``"running"`` or ``"support"``, if it has a batch norm; else ``"none"``.
        size: D, features of one example.
    """

    name: str
    make: Make
    norm: str
    size: int
    _body: Body
    _constants: Mapping[str, Tensor]
    # calling a module with other parameters puts them into it for that time: each thread has a copy
    _here: threading.local = field(default_factory=threading.local)

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        made = {f"net.{name}": value.detach() for name, value in _named(self.make(seed))}
        return {name: made[name] for name, _ in self._body.named_parameters()}

    def statistics(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for layer in self._body.modules() if self.norm == "running" else ():
            if isinstance(layer, _Norm):
                found[f"{layer.path}.mean"] = torch.zeros(layer.channels)
                found[f"{layer.path}.var"] = torch.ones(layer.channels)
        return found

    def apply(
        self, params: Tensors, x: Tensor, mask: Tensor | None, statistics: Tensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        out, used = run(self.body, params, self.constants(x), x, mask, statistics)
        return out.flatten(1), used

    @property
    def body(self) -> Body:
        """This thread's skeleton."""
        if not hasattr(self._here, "body"):
            with LOCK:  # NNI's modules look at its stacks when they are made, copied ones too
                self._here.body = copy.deepcopy(self._body)
        found: Body = self._here.body
        return found

    def constants(self, x: Tensor) -> dict[str, Tensor]:
        """Its tensors that are not learned, on the device and in the precision of ``x``."""
        kinds = {name: x.dtype if c.is_floating_point() else c.dtype for name, c in self._constants.items()}
        return {name: c.to(x.device, kinds[name]) for name, c in self._constants.items()}


def network_of(name: str, make: Make, norm: str, input_shape: tuple[int, ...]) -> ModelNetwork:
    """The network of a model.

    Args:
        name: Of the model space, for errors.
        make: The model.
        norm: ``"running"`` or ``"support"``, for its batch norms.
        input_shape: Of one example.

    Raises:
        RuleError: If the model cannot take such examples, or does not give one tensor; names the layer.
    """
    model = make(0).train()
    _check_sizes(name, model)
    with_norms = any(map(is_batch_norm, model.modules()))
    body = Body(model, norm)
    constants = _emptied(body)
    network = ModelNetwork(name, make, norm if with_norms else "none", 0, body, constants)
    try:
        out = _beheaded(network, torch.empty(_ROWS, *input_shape, device="meta"))
    except Exception:  # it may hold tensors, or ask for values: then it is run in earnest
        with naming(name, body, f"cannot take inputs {input_shape}"):
            out = _beheaded(network, torch.zeros(_ROWS, *input_shape))
    if not isinstance(out, Tensor) or out.ndim < 2 or out.shape[0] != _ROWS:
        shown = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise RuleError(f"{name} gives {shown} for 2 examples: its forward should return one tensor (2, …)")
    return ModelNetwork(name, make, network.norm, out.flatten(1).shape[1], body, constants)


def run(
    body: Body, params: Tensors, constants: Tensors, x: Tensor, mask: Tensor | None, statistics: Tensors
) -> tuple[Tensor, dict[str, Tensor]]:
    """One call of a skeleton: what comes of it, and the statistics that its norms used."""
    call = body.call
    call.mask, call.given, call.used = mask, statistics, {}
    try:
        out: Tensor = torch.func.functional_call(body, {**params, **constants}, (x,))
        return out, call.used
    finally:
        call.mask, call.given, call.used = None, {}, {}


@contextmanager
def naming(name: str, body: nn.Module, what: str) -> Iterator[None]:
    """Says in which layer something is raised.

    Raises:
        RuleError: Whatever is raised inside, in one line: the space, what it cannot, the layer.
    """
    inside: list[str] = []
    hooks = []

    def leave(*_: object) -> None:  # a hook's result would be the layer's
        inside.pop()

    for path, layer in body.named_modules():
        hooks.append(layer.register_forward_pre_hook(lambda *_, path=path: inside.append(path)))
        hooks.append(layer.register_forward_hook(leave))
    try:
        yield
    except RuleError:
        raise
    except Exception as error:  # whatever their code raises is theirs to mend
        raise refusal(name, body, what, inside[-1] if inside else None, error) from error
    finally:
        for hook in hooks:
            hook.remove()


def refusal(name: str, body: nn.Module, what: str, path: str | None, why: Exception | str) -> RuleError:
    """What is said of a model that cannot be used: one line, with its layer if it is known."""
    text = (str(why).strip().splitlines() or [type(why).__name__])[0][:200]
    if "called random operation" in text:  # of vmap
        text = "it draws random numbers: set its probability to 0, or leave it out"
    return RuleError(f"{name} {what}: {'' if path is None else _shown(body, path)}{text}")


def _shown(body: nn.Module, path: str) -> str:
    inner, layer = path.removeprefix("net").removeprefix("."), body.get_submodule(path)
    kind = layer.kind if isinstance(layer, _Norm) else type(layer).__name__
    return f"layer {inner} ({kind}): " if inner else "its forward: "


def _named(model: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    """By all names, of what stands at several places too: which of them the body has is for it to say."""
    return model.named_parameters(remove_duplicate=False)


def _emptied(body: Body) -> dict[str, Tensor]:
    """Leaves of the parameters their shapes; the tensors that are not learned, by name."""
    constants = {path: buffer.detach() for path, buffer in body.named_buffers()}
    empty: dict[Tensor, nn.Parameter] = {}  # one that is used at two places stays one
    for path, layer in body.named_modules():
        for kind, value in list(layer._parameters.items()):
            if value is None:
                continue
            if not value.requires_grad:
                constants[f"{path}.{kind}"] = value.detach()
                del layer._parameters[kind]
                layer.register_buffer(kind, value.detach())
            else:
                layer._parameters[kind] = empty.setdefault(value, nn.Parameter(value.detach().to("meta")))
    return constants


def _check_sizes(name: str, model: nn.Module) -> None:
    for path, layer in model.named_modules():
        if any(is_lazy(value) for value in layer._parameters.values()):
            raise refusal(name, model, "has no sizes yet", path, "give it its number of inputs")


def _beheaded(network: ModelNetwork, x: Tensor) -> Tensor:
    """Takes off the linear layer that the model's forward ends with, if it does; what is then the output.

    One that is also called before that is no head: without it the model would be another.
    """
    given: dict[int, str] = {}
    calls: Counter[str] = Counter()
    kept = []  # else another tensor may get the address of one that has gone

    def note(path: str, out: Tensor) -> None:
        given[id(out)] = path
        calls[path] += 1
        kept.append(out)

    body = network._body
    layers = [(path, layer) for path, layer in body.named_modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(lambda _, __, out, p=path: note(p, out)) for path, layer in layers]
    try:
        out = _called(network, x)
    finally:
        for hook in hooks:
            hook.remove()
    if id(out) not in given or calls[given[id(out)]] > 1:
        return out
    body.put(given[id(out)], nn.Identity())
    return _called(network, x)


def _called(network: ModelNetwork, x: Tensor) -> Tensor:
    """One call, of which on the device ``meta`` only shapes are made."""
    params = {name: value.detach() for name, value in network._body.named_parameters()}
    if x.device.type != "meta":
        params = network.init(torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.device(x.device):
        return run(network._body, params, network.constants(x), x, None, {})[0]
