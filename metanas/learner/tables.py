"""Adapting to a task that lies in two CSV files, and what comes of it as rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from metanas.learner import records
from metanas.learner.learner import Learner, Model
from metanas.learner.sheet import Sheet, read_sheet
from metanas.tasks import columns as coding
from search_spaces.errors import DataError

PREDICTION, PROBABILITY = "prediction", "probability"
_READ = {"number": (coding.number, "a number"), "date": (coding.as_days, "a date as in 2024-01-31")}


@dataclass(frozen=True)
class Answers:
    """The queries with their predictions.

    Attributes:
        columns: Those of the query, then ``prediction`` (``prediction_NAME`` where there are several
            targets) and, for classes, ``probability``.
        rows: Cells; predictions are numbers or labels.
        support: Number of examples that were learned from.
        score: ``metric, value, rows`` where the query has targets too; None where it has none.
        notes: What was taken for what, where names did not say.
    """

    columns: list[str]
    rows: list[list[Any]]
    support: int
    score: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, a row as a mapping."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"support": self.support, "queries": len(rows), "score": self.score, "rows": rows}

    def write_csv(self, stream: TextIO) -> None:
        """A header and the rows."""
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)


def adapt_csv(learner: Learner, support_path: Path, query_path: Path) -> Answers:
    """Learns from the rows of one CSV file and predicts those of another; both have column names.

    Features and targets are found by the names that the learner was trained with, as its
    ``manifest.preprocessing`` has them, in capitals or not. Where none of a file's columns has such a
    name, the last columns of the support are the targets and the others the features, in their order.
    The query's features have the names of the support's, or are all its columns but the targets. Where
    that leaves a choice, none is made. If the query has the targets too, its rows that are not empty
    there are scored.

    Args:
        learner: Whose examples are rows of numbers.
        support_path: Labelled examples.
        query_path: What to predict.

    Raises:
        DataError: If a file cannot be used; file, line and column are named.
    """
    known = learner.manifest.preprocessing
    if known["kind"] not in ("table", "columns"):
        raise DataError("this learner does not take tables: use it in a program, with metanas.load")
    names, wanted = _names(known)
    support, shown = read_sheet(support_path), read_sheet(query_path)
    support, query = (_called(sheet, [*names, *wanted]) for sheet in (support, shown))
    features, targets = _support_columns(support, names, wanted)
    asked = _query_columns(query, features, targets, names)
    regression = learner.signature.kind == "regression"
    labels: Any = support.numbers(targets) if regression else support.texts(targets[0])
    model = learner.adapt(_examples(support, features, names, known), labels)
    found = predictions(model, _examples(query, asked, names, known), len(query.rows), targets)
    _check_free(query, found)
    rows = [[*row, *more] for row, more in zip(query.rows, zip(*found.values(), strict=True), strict=True)]
    score = None
    if set(targets) <= set(query.columns):
        for column in targets:
            query = query.having(column)
        score = _score(model, query, _examples(query, asked, names, known), targets)
    notes = [*_notes((features, targets), asked, names, wanted)]
    notes += [*_unseen(known, "support", support, features), *_unseen(known, "query", query, asked)]
    return Answers([*shown.columns, *found], rows, len(support.rows), score, tuple(notes))


def predictions(model: Model, x: Any, count: int, targets: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Columns with the predictions for ``count`` queries ``x``, by name."""
    if model.classes is None:
        values = np.asarray(model.predict(x)).reshape(count, -1)
        names = [PREDICTION] if values.shape[1] == 1 else [f"{PREDICTION}_{name}" for name in targets]
        pairs = zip(names, values.T, strict=True)
        return {name: [_short(v, model.digits) for v in column] for name, column in pairs}
    shares = np.asarray(model.predict_proba(x))
    best = shares.argmax(-1)
    return {
        PREDICTION: model.classes[best].tolist(),
        PROBABILITY: [_short(v, model.digits) for v in shares.max(-1)],
    }


def _short(value: float, digits: int) -> float:
    """Without the digits that single precision does not have."""
    return float(f"{value:.{digits}g}")


def _called(sheet: Sheet, names: list[str]) -> Sheet:
    """The sheet with the learner's names where its own differ in capitals alone."""
    folded = [column.casefold() for column in sheet.columns]
    own = {name.casefold(): name for name in names if name not in sheet.columns}
    columns = [
        own.get(fold, column) if folded.count(fold) == 1 and column not in names else column
        for column, fold in zip(sheet.columns, folded, strict=True)
    ]
    return replace(sheet, columns=columns)


def _support_columns(sheet: Sheet, names: list[str], wanted: list[str]) -> tuple[list[str], list[str]]:
    """Names of the features and of the targets in the support."""
    by_name = _by_name(sheet, names)
    others = [column for column in sheet.columns if not by_name or column not in names]
    if _by_name(sheet, wanted):
        targets = wanted
    elif by_name and len(others) > len(wanted):  # the last of them could be anything
        raise DataError(
            f"{sheet.path} has no column {', '.join(wanted)}: call the target so (it has {', '.join(others)})"
        )
    else:
        targets = others[-len(wanted) :]
    if len(targets) < len(wanted):
        raise DataError(f"{sheet.path} has no column for the target: add {', '.join(wanted)}")
    return (names if by_name else _rest(sheet, targets, names)), targets


def _names(preprocessing: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Of the features and of the targets that the learner was trained with."""
    if preprocessing["kind"] == "columns":
        return [known["name"] for known in preprocessing["features"]], [preprocessing["target"]["name"]]
    return list(preprocessing["features"]), list(preprocessing["targets"])


def _examples(sheet: Sheet, columns: list[str], names: list[str], preprocessing: Mapping[str, Any]) -> Any:
    """The features of a sheet, in the form that the learner takes."""
    if preprocessing["kind"] == "table":
        return sheet.numbers(columns)
    for known, column in zip(preprocessing["features"], columns, strict=True):
        if known["kind"] in _READ:
            sheet.check(column, *_READ[known["kind"]])
    return {name: sheet.cells(column) for name, column in zip(names, columns, strict=True)}


def _query_columns(sheet: Sheet, features: list[str], targets: list[str], names: list[str]) -> list[str]:
    if _by_name(sheet, features):
        return features
    # the support's have names of their own, and stand in the learner's order
    return names if set(names) <= set(sheet.columns) else _rest(sheet, targets, features)


def _notes(
    support: tuple[list[str], list[str]], asked: list[str], names: list[str], wanted: list[str]
) -> Iterator[str]:
    """What was taken for what by its place."""
    features, targets = support
    if targets != wanted:
        yield f"the support's {', '.join(targets)} taken for the target, {', '.join(wanted)}"
    for what, columns in (("support", features), ("query", asked)):
        if columns != names:
            yield f"the {what}'s {', '.join(columns)} taken for {', '.join(names)}, in that order"


def _unseen(preprocessing: Mapping[str, Any], what: str, sheet: Sheet, columns: list[str]) -> Iterator[str]:
    """Categories that the learner takes for unknown."""
    features = preprocessing["features"] if preprocessing["kind"] == "columns" else []
    for known, column in zip(features, columns, strict=bool(features)):
        if found := coding.unseen(known, records.cells(list(sheet.cells(column)))):
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            yield f"the {what}'s column {column} has {found[0][:40]!r}{more}, unknown in training"


def _by_name(sheet: Sheet, names: list[str]) -> bool:
    """Whether the sheet has these columns; False if it has none of them.

    Raises:
        DataError: If it has some and lacks others.
    """
    missing = [name for name in names if name not in sheet.columns]
    if missing and len(missing) < len(names):
        raise DataError(
            f"{sheet.path} lacks the column {missing[0]!r}: add it (it has {', '.join(sheet.columns)})"
        )
    return not missing


def _rest(sheet: Sheet, targets: list[str], features: list[str]) -> list[str]:
    """All columns but the targets, in the place of the features."""
    found = [column for column in sheet.columns if column not in targets]
    if any(coding.number(name) is not None or coding.as_days(name) is not None for name in sheet.columns):
        raise DataError(f"{sheet.path} has numbers in its first line: name the columns there")
    if len(found) != len(features):
        raise DataError(
            f"{sheet.path} has {len(found)} feature columns ({', '.join(found)}), the learner takes "
            f"{len(features)}: {', '.join(features)}"
        )
    return found


def _check_free(query: Sheet, found: dict[str, list[Any]]) -> None:
    if taken := [name for name in found if name in query.columns]:
        raise DataError(f"{query.path} has a column {taken[0]!r} already: rename it or take it out")


def _score(model: Model, query: Sheet, x: Any, targets: list[str]) -> dict[str, Any] | None:
    """On the rows of the query, each of which has every target."""
    if not query.rows:
        return None
    predicted = np.asarray(model.predict(x))
    if model.classes is None:
        value = float(((predicted - query.numbers(targets)) ** 2).mean())
        return {"metric": "mse", "value": value, "rows": len(query.rows)}
    pairs = zip(predicted, query.texts(targets[0]), strict=True)
    value = float(np.mean([coding.spelt(found) == coding.spelt(true) for found, true in pairs]))
    return {"metric": "accuracy", "value": value, "rows": len(query.rows)}
