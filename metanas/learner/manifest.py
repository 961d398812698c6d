"""What a learner file says of itself: plain data, checked field by field when it is read."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metanas import __version__
from search_spaces import Candidate, Signature
from search_spaces.errors import LearnerFileError

FORMAT = 1
# Sizes beyond which a signature is no honest one. What the weights do not bound, these do: the
# pixels of an image, say, do not show in the weights of a convolution.
_INPUTS, _OUTPUTS = 2**24, 2**16
_OBJECTS = (
    "candidate",
    "signature",
    "setting",
    "preprocessing",
    "scorecard",
    "costs",
    "provenance",
    "members",
)


@dataclass(frozen=True)
class Manifest:
    """Everything about a learner but its weights. Mappings hold plain data; dataclasses in them will do.

    Attributes:
        candidate: What was meta-trained.
        signature: Of its tasks.
        preprocessing: The family's: what turns a user's examples into tensors.
        setting: How it was scored: ``ways``, ``shots``, ``queries``.
        scorecard: ``valid`` and ``test`` (each ``metric, value, ci95, tasks``), ``baselines`` (a list
            of ``name, value, ci95``, with ``over`` where it is over a limit of the search), ``verdict``
            (``outcome, sentence, …``); those that are known.
        costs: ``seconds, parameters, multiply_adds, adapt_ms, peak_memory``.
        provenance: ``study, trial, seed, versions, family`` (its facts), ``date``.
        metanas: Version that wrote it.
        members: Name of every other member → ``sha256`` and ``size``; filled in when it is written.
    """

    candidate: Candidate
    signature: Signature
    preprocessing: Mapping[str, Any]
    setting: Mapping[str, int]
    scorecard: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metanas: str = __version__
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; numbers that are not finite become None."""
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"format": FORMAT} | fields | {"signature": self.signature.to_dict()}

    def to_json(self) -> str:
        """Readable and canonical: equal manifests have equal text."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Reads what :meth:`to_json` wrote, whoever wrote it.

        Raises:
            LearnerFileError: If it is no manifest, or one of a newer format.
            SpaceError: If its candidate is malformed.
            DataError: If its signature is malformed.
        """
        values = _parse(data)
        _check_format(values.get("format"), values.get("metanas"))
        for name in _OBJECTS:
            if not isinstance(values.get(name), dict):
                raise LearnerFileError(f"it has a manifest without a proper {name!r}: export it anew")
        _check_numbers(values["setting"])
        _check_members(values["members"])
        signature = Signature.from_dict(values["signature"])
        _check_sizes(signature)
        rest = {name: values[name] for name in _OBJECTS if name not in ("candidate", "signature")}
        return cls(Candidate(values["candidate"]), signature, **rest, metanas=values["metanas"])


def _plain(value: Any) -> Any:
    """The value in types that JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float)) or value is None else str(value)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data.decode(), parse_constant=_refuse)
        json.dumps(values, ensure_ascii=False).encode()  # half characters cannot be shown or written
    except (ValueError, RecursionError):
        raise LearnerFileError("it has a manifest that is not JSON: export it anew") from None
    if not isinstance(values, dict):
        raise LearnerFileError("it has a manifest that is not a JSON object: export it anew")
    return values


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _check_format(version: object, written_by: object) -> None:
    if type(version) is not int or version < 1 or not isinstance(written_by, str):
        raise LearnerFileError("it has a manifest without a format version: it is not one of ours")
    if version > FORMAT:
        by, own = written_by[:20], __version__
        raise LearnerFileError(
            f"it has format {version}, of metanas {by}; this one ({own}) reads {FORMAT}: update it"
        )


def _check_numbers(setting: dict[str, Any]) -> None:
    if any(type(value) is not int or value < 1 for value in setting.values()):
        raise LearnerFileError("it has a setting that is not whole numbers of at least 1: export it anew")


def _check_members(members: dict[str, Any]) -> None:
    for name, facts in members.items():
        right = (
            isinstance(facts, dict)
            and type(facts.get("size")) is int
            and isinstance(facts.get("sha256"), str)
        )
        if not right:
            raise LearnerFileError(
                f"it has a manifest without hash and size of {name[:50]!r}: export it anew"
            )


def _check_sizes(signature: Signature) -> None:
    sizes = (*signature.input_shape, signature.outputs, signature.shots)
    if any(type(size) is not int for size in sizes) or len(signature.input_shape) > 4:
        raise LearnerFileError("it has a signature whose sizes are not whole numbers: export it anew")
    if math.prod(signature.input_shape) > _INPUTS or signature.outputs > _OUTPUTS:
        raise LearnerFileError(
            f"has a signature beyond {_INPUTS:,} inputs or {_OUTPUTS:,} outputs: do not trust it"
        )
