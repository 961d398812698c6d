"""A learner: what picks up a new task from a handful of examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metanas.engine import Program, resolve_device
from metanas.learner.building import program_of
from metanas.learner.inputs import inputs_of
from metanas.learner.manifest import Manifest
from metanas.learner.targets import Classes, Reals, encode, same_kind
from search_spaces import Candidate, Signature
from search_spaces.errors import DataError

# rows of queries at once, and numbers in them: activations may be a hundred times as many
_CHUNK_ROWS, _CHUNK_NUMBERS = 4096, 2**18


class Learner:
    """A meta-trained candidate, ready for new tasks; made by :func:`metanas.load`.

    Args:
        manifest: What is known of it.
        program: Of its candidate.
        meta: ``(P,)`` meta-parameters.
        buffers: ``(B,)`` its other tensors.
        device: Where it computes.

    Attributes:
        manifest: Scorecard, costs, provenance, preprocessing and the like.
        device: Where it computes; what it returns lies where the query lies.

    Example:
        .. code-block:: python

            learner = metanas.load("sinusoid.metanas")
            model = learner.adapt(x, y)  # x (5, 1) or (5,), y (5,)
            model.predict(queries)  # (100,)

    Raises:
        LearnerFileError: If its preprocessing is unknown.
    """

    def __init__(
        self,
        manifest: Manifest,
        program: Program,
        meta: Tensor,
        buffers: Tensor,
        device: torch.device | str = "cpu",
    ) -> None:
        self.manifest = manifest
        self.device = torch.device(device)
        self._program = program
        self._meta, self._buffers = meta.to(self.device), buffers.to(self.device)
        self._inputs = inputs_of(manifest.signature, manifest.preprocessing)
        target = manifest.preprocessing.get("target", {})
        self._scale = float(target.get("mean", 0.0)), float(target.get("std", 1.0))
        self._classes = tuple(target.get("classes", ()))

    @property
    def signature(self) -> Signature:
        """Of the tasks that it was trained for; ``outputs`` and ``shots`` need not be those of yours."""
        return self.manifest.signature

    @property
    def candidate(self) -> Candidate:
        """Its architecture and its rule."""
        return self.manifest.candidate

    @property
    def weights(self) -> tuple[Tensor, Tensor]:
        """Meta-parameters ``(P,)`` and the other tensors ``(B,)``."""
        return self._meta, self._buffers

    def __reduce__(self) -> tuple[Any, ...]:
        # a network of somebody's own may hold what no pickle takes: it is built again where it is read
        return _rebuilt, (self.manifest, self._meta.cpu(), self._buffers.cpu(), str(self.device))

    def to(self, device: str | torch.device) -> Learner:
        """The same learner on ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:n"``.

        Raises:
            DeviceError: If the device is not there.
        """
        return Learner(self.manifest, self._program, self._meta, self._buffers, resolve_device(device))

    def adapt(self, x: Any, y: Any) -> Model:
        """Learns a task from its support set: any number of rows, in any order, classes of any size.

        Args:
            x: Examples, as NumPy array, torch tensor or nested list. Numbers: ``(S, features)``, or
                ``(S,)`` for one feature. Columns of several kinds: a mapping of names to columns, a pandas
                DataFrame, or rows that are mappings; see ``manifest.preprocessing``. A category that
                training did not have is as good as missing. Images: whole numbers from 0 to 255,
                ``(S, C, H, W)`` or ``(S, H, W)``, or a list of PIL images or of paths; they are resized
                and standardised as in training.
            y: Regression: ``(S,)`` for one output, or ``(S, outputs)``. Classification: ``(S,)``
                labels, text or whole numbers or anything hashable, of at least two classes.

        Returns:
            A model of this task, which can be used any number of times.

        Raises:
            DataError: If the examples do not fit the learner, are not finite, or are too few.
        """
        rows = self._inputs.rows(x, "support")
        if len(rows) == 0:
            raise DataError("support is empty: give at least one labelled example")
        targets, known = encode(self.signature, y, len(rows), *self._scale, self._classes)
        self._check_ways(targets)
        support = self._inputs.tensor(rows, 0, "support").to(self.device)
        key = torch.zeros((), dtype=torch.int64, device=self.device)
        with self._as_trained():
            adapted = self._program.rule.adapt(*self._tensors(), support, known.to(self.device), None, key)
        if not all(bool(torch.isfinite(value).all()) for value in adapted.values()):
            raise DataError(
                "adapting to the support set diverged: are its values in the range of the training tasks?"
            )
        return Model(self, adapted, targets)

    def _outputs(self, adapted: Mapping[str, Tensor], x: Any, width: int) -> Tensor:
        """``(Q, width)`` on the CPU, computed in chunks that need little memory."""
        rows = self._inputs.rows(x, "query")
        size = max(1, min(_CHUNK_ROWS, _CHUNK_NUMBERS // math.prod(self.signature.input_shape)))
        parts = [torch.zeros(0, width, dtype=torch.float32, device="cpu")]
        for first in range(0, len(rows), size):
            query = self._inputs.tensor(rows[first : first + size], first, "query").to(self.device)
            with self._as_trained():
                part = self._program.rule.predict(*self._tensors(), adapted, query).cpu()
            parts.append(_finite(part, first))
        return torch.cat(parts)

    @contextmanager
    def _as_trained(self) -> Iterator[None]:
        """Whatever surrounds it: a program's autocast would answer in less precision, where it answers."""
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            yield

    def _tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        return self._program.meta.unflatten(self._meta), self._program.buffers.unflatten(self._buffers)

    def _check_ways(self, targets: Reals | Classes) -> None:
        """A head that learned one row a class cannot do with more or fewer of them."""
        head = self.candidate.get(f"rule.{self.candidate['rule']}.head")
        if not isinstance(targets, Classes) or head != "rows":
            return
        ways, wanted = len(targets.labels), self.signature.outputs
        other = "or export a trial with another rule or a shared head"
        if ways != wanted:
            raise DataError(
                f"support has {ways} classes, and this learner takes exactly {wanted}: its head is learned "
                f"class by class; give it {wanted}, {other}"
            )
        unknown = [] if len(self._classes) > wanted else targets.unknown(self._classes)
        if unknown:
            raise DataError(
                f"support has the class {str(unknown[0])[:40]!r}, and this learner's head is learned class "
                f"by class, of {', '.join(self._classes)}: name them so, {other}"
            )


@dataclass(frozen=True, eq=False)
class Model:
    """A learner after one task's support set. Each query is predicted on its own."""

    _learner: Learner
    _adapted: Mapping[str, Tensor]
    _targets: Reals | Classes

    @property
    def classes(self) -> np.ndarray | None:
        """``(ways,)`` labels, the columns of :meth:`predict_proba`; None for regression.

        As the training table's classes, which are sorted as text, or else sorted.
        """
        return self._targets.labels if isinstance(self._targets, Classes) else None

    @property
    def digits(self) -> int:
        """How many significant digits of a number that it answers with say something."""
        return self._targets.digits

    def predict(self, x: Any) -> np.ndarray | Tensor:
        """Predictions for queries.

        Args:
            x: ``(Q, *x)``, in any of the forms that :meth:`Learner.adapt` takes.

        Returns:
            Regression: ``(Q,)`` or ``(Q, outputs)`` as the support's ``y`` was; float32, or
            float64 where training standardised its targets, as a table's, which may be far from 0.
            Classification: labels ``(Q,)``. A tensor on the query's device if ``x`` is one (and the
            labels are numbers), else an array.

        Raises:
            DataError: If the queries do not fit the learner, or are not finite.
        """
        return self._targets.answer(self._outputs(x), x)

    def predict_proba(self, x: Any) -> np.ndarray | Tensor:
        """Probabilities ``(Q, ways)`` of the classes, in the order of :attr:`classes`.

        Raises:
            DataError: As :meth:`predict`; and for regression, which has none.
        """
        if self.classes is None:
            raise DataError("regression has no probabilities: use predict")
        return same_kind(torch.softmax(self._outputs(x), -1), x)

    def _outputs(self, x: Any) -> Tensor:
        width = self._learner.signature.outputs if self.classes is None else len(self.classes)
        return self._learner._outputs(self._adapted, x, width)


def _rebuilt(manifest: Manifest, meta: Tensor, buffers: Tensor, device: str) -> Learner:
    """A learner that a process sent to another; what a pickle names is trusted by whoever reads it."""
    network = str(manifest.candidate["architecture"])
    program = program_of(manifest.candidate, manifest.signature, (network,) if ":" in network else ())
    return Learner(manifest, program, meta, buffers, device)


def _finite(outputs: Tensor, first: int) -> Tensor:
    bad = ~torch.isfinite(outputs).all(1)
    if bool(bad.any()):
        row = first + int(bad.nonzero()[0])
        raise DataError(
            f"the prediction for query row {row} (counted from 0) is not finite: is it far from the support?"
        )
    return outputs
