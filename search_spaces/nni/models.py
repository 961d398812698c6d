"""Anybody's NNI model space as an architecture: ``nni:module:Class``.

Its mutables become choices (see ``tree.py``), each model of it a network (see ``network.py``). NNI's own hub
is ``nni:nni.nas.hub.pytorch:NasBench201`` and the like; importing that needs PyTorch Lightning.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from nni.nas.space import model_context
from torch import nn

from search_spaces.candidate import Value
from search_spaces.choices import Categorical, Choice
from search_spaces.errors import RuleError, SpaceError, UnknownNameError
from search_spaces.importing import this_folder_first
from search_spaces.nni.guard import LOCK
from search_spaces.nni.layers import ModelSpace
from search_spaces.nni.network import ModelNetwork, is_batch_norm, network_of
from search_spaces.nni.probe import examine
from search_spaces.nni.tree import Tree, read
from search_spaces.signature import Signature

_NORM, _NORMS = "batch_norm", ("running", "support")


def load(name: str) -> ModelArchitecture:
    """The architecture of ``nni:module:Class``; the module is looked for in this folder first.

    Raises:
        UnknownNameError: If there is none: no such module or class, or it is no model space; says why.
    """
    module, attribute = name.removeprefix("nni:").rsplit(":", 1)
    try:
        with LOCK, this_folder_first():
            found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever their code raises is theirs to mend
        lightning = isinstance(error, ModuleNotFoundError) and "lightning" in (error.name or "")
        hint = "; install it: pip install 'metanas[nni-hub]'" if lightning else ""
        raise UnknownNameError(f"cannot import {name}: {type(error).__name__}: {error}{hint}") from error
    if not (isinstance(found, type) and issubclass(found, ModelSpace)):
        raise UnknownNameError(f"{name} is no class of nni.nas.nn.pytorch.ModelSpace's")
    return ModelArchitecture(name, found)


@dataclass(frozen=True)
class ModelArchitecture:
    """An architecture over a model space of NNI's.

    Args:
        name: ``nni:module:Class``.
        space: The class. If its constructor takes ``input_shape``, it is made with that of the tasks.
    """

    name: str
    space: type

    def suits(self, signature: Signature) -> bool:
        """Any tasks: whether it can take their examples shows when it is built."""
        return True

    def choices(self, signature: Signature) -> tuple[Choice, ...]:
        """Its mutables; and, if it has batch norms, what their statistics are taken over."""
        tree, with_norms = self._read(signature)
        own = (Categorical(_NORM, _NORMS),) if with_norms else ()
        if own and _NORM in tree.labels:
            raise SpaceError(f"{self.name} has a label {_NORM}, which metanas adds itself: call it otherwise")
        return (*tree.choices, *own)

    def build(self, choices: Mapping[str, Value], signature: Signature) -> ModelNetwork:
        """The network of those choices.

        Raises:
            RuleError: If the model cannot be made, or cannot take examples of the tasks.
        """
        tree, _ = self._read(signature)
        sample = tree.sample({name: value for name, value in choices.items() if name != _NORM})
        norm = str(choices.get(_NORM, _NORMS[0]))

        def make(seed: int) -> nn.Module:
            with LOCK, _drawn_from(seed), model_context(sample):
                made: nn.Module = self.made(signature.input_shape)
                return made

        return network_of(self.name, make, norm, signature.input_shape)

    def check(self, choices: Iterable[Mapping[str, Value]], signature: Signature) -> None:
        """Whether models of those choices can be meta-trained.

        Raises:
            RuleError: If one of them is no pure function of its parameters; names the layer.
        """
        for some in choices:
            examine(self.build(some, signature), signature.input_shape)

    def code(self) -> str:
        """A hash of its module, with the blocks that stand there, too; empty where there is no source."""
        try:
            source = inspect.getsource(inspect.getmodule(self.space) or self.space)
            return hashlib.sha256(source.encode()).hexdigest()
        except (OSError, TypeError):
            return ""

    def _read(self, signature: Signature) -> tuple[Tree, bool]:
        return _read(self, signature.input_shape)

    def made(self, input_shape: tuple[int, ...]) -> Any:
        """An instance of the class: the space, or inside a context of NNI's a model of it."""
        takes = _parameters(self.space)
        needed = (n for n, p in takes.items() if p.default is p.empty and p.kind not in _REST)
        if lacking := [name for name in needed if name != "input_shape"]:
            raise RuleError(
                f"{self.name} cannot be made: it wants {', '.join(lacking)}, and metanas gives input_shape "
                "alone; give them defaults"
            )
        try:
            with torch.device("cpu"), this_folder_first():
                return self.space(**({"input_shape": input_shape} if "input_shape" in takes else {}))
        except Exception as error:  # whatever their code raises is theirs to mend
            text = (str(error).strip().splitlines() or [""])[0]
            raise RuleError(f"{self.name} cannot be made: {type(error).__name__}: {text}") from error


_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@lru_cache(maxsize=16)
def _read(architecture: ModelArchitecture, input_shape: tuple[int, ...]) -> tuple[Tree, bool]:
    """Its choices, and whether it has batch norms: making all of its layers may take a second."""
    with LOCK:
        space = architecture.made(input_shape)
        return read(space), any(map(is_batch_norm, space.modules()))


def _parameters(space: type) -> Mapping[str, inspect.Parameter]:
    """Of the constructor that its author wrote, which NNI wraps."""
    written = [vars(base)["_init_wrapped"] for base in space.__mro__ if "_init_wrapped" in vars(base)]
    own = next((init for init in written if init.__name__ == "__init__"), None)
    return dict(list(inspect.signature(own).parameters.items())[1:]) if own else {}


@contextmanager
def _drawn_from(seed: int) -> Iterator[None]:
    """Lets modules initialise themselves, which torch does from its global generator only."""
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)
