"""What the tasks of a family share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from search_spaces.errors import DataError

Kind = Literal["regression", "classification"]


@dataclass(frozen=True)
class Signature:
    """The shape of a family's tasks; what an architecture and a rule are built for.

    Attributes:
        kind: Regression (real targets) or classification (one-hot targets).
        input_shape: Of one example: ``(features,)`` or ``(channels, height, width)``.
        outputs: Targets per example for regression; ways (classes a task) for classification.
        shots: Labelled examples a task (regression) or a class (classification) at scoring.
    """

    kind: Kind
    input_shape: tuple[int, ...]
    outputs: int
    shots: int

    def __post_init__(self) -> None:
        if self.kind not in ("regression", "classification"):
            raise DataError(f"kind should be 'regression' or 'classification', not {self.kind!r}")
        sizes = (*self.input_shape, self.outputs, self.shots)
        if not self.input_shape or any(not isinstance(size, int) or size < 1 for size in sizes):
            raise DataError(f"sizes of a signature should be whole numbers >= 1, got {self}")

    @property
    def metric(self) -> str:
        """``"mse"`` (lower is better) or ``"accuracy"`` (a fraction, higher is better)."""
        return "mse" if self.kind == "regression" else "accuracy"

    @property
    def higher_is_better(self) -> bool:
        return self.kind == "classification"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"input_shape": list(self.input_shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Signature:
        """Reads what :meth:`to_dict` gave.

        Raises:
            DataError: If a field is missing, unknown or of the wrong type.
        """
        try:
            return cls(**values | {"input_shape": tuple(values["input_shape"])})
        except (TypeError, KeyError) as error:
            raise DataError(f"not a signature: {error}") from None
