"""A learner's card: what a person wants to know of it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metanas.learner.manifest import Manifest
from metanas.words import data_in_words, in_words
from search_spaces.named import consent

_COSTS = {
    "parameters": "{:,.0f} numbers set by meta-training",
    "adapt_ms": "{:.3g} ms to adapt to a task, where it was trained",
    "multiply_adds": "{:,.0f} multiply-adds to adapt and predict",
    "seconds": "{:,.0f} s of meta-training and scoring",
}
_TEST = "on test tasks it never saw"
# where tasks are few; this very learner was trained on most of them
_FOLDED = "on test tasks, each by the learner of the one of {} searches that never saw it"


def card(manifest: Manifest) -> str:
    """The text of ``card.md``."""
    values = manifest.to_dict()
    parts = (
        _what(values),
        _score(values["scorecard"]),
        _use(values),
        _inside(manifest, values),
        _origin(values),
    )
    return "\n".join(line for part in parts for line in [*part, ""]).rstrip() + "\n"


def _what(values: Mapping[str, Any]) -> Iterator[str]:
    signature, setting = values["signature"], values["setting"]
    family = values["provenance"].get("family")
    name = family.get("name", "?") if isinstance(family, Mapping) else family
    each = "class" if signature["kind"] == "classification" else "task"
    yield f"# A learner for {signature['kind']} tasks{f' like those of {name}' if name else ''}"
    yield ""
    yield "It learns a new task of that family from a few labelled examples, without further training."
    sizes = f"{setting.get('shots', signature['shots'])} labelled examples a {each}"
    ways = f", {setting.get('ways', signature['outputs'])} classes a task" if each == "class" else ""
    yield f"It was scored with {sizes}{ways}."


def _score(scorecard: Mapping[str, Any]) -> Iterator[str]:
    yield "## How it scored"
    yield ""
    folds = (scorecard.get("test") or {}).get("folds")
    rows = [
        (_TEST if folds is None else _FOLDED.format(folds), scorecard.get("test")),
        ("on validation tasks", scorecard.get("valid")),
    ]
    rows += [
        (f"{rival.get('name')} ({rival['over']})" if rival.get("over") else str(rival.get("name")), rival)
        for rival in scorecard.get("baselines") or []
        if isinstance(rival, Mapping)
    ]
    known = [(name, row) for name, row in rows if isinstance(row, Mapping) and _is_number(row.get("value"))]
    if not known:
        yield "It has not been scored."
        return
    metric = next((row["metric"] for _, row in known if "metric" in row), "score")
    of = str((scorecard.get("test") or {}).get("of", ""))  # groups of tasks, where there are such
    yield f"| | {metric} | 95 % interval | {'groups of tasks' if of.startswith('groups') else 'tasks'} |"
    yield "|---|---|---|---|"
    for name, row in known:
        chose = ", over these alone, by which it was chosen" if row is scorecard.get("valid") else ""
        yield f"| {name} | {row['value']:.4g} | {_interval(row)}{chose} | {row.get('tasks', '')} |"
    verdict = scorecard.get("verdict")
    if isinstance(verdict, Mapping) and verdict.get("sentence"):
        yield ""
        yield f"Verdict: {verdict['sentence']}"


def _use(values: Mapping[str, Any]) -> Iterator[str]:
    yield "## How to use it"
    yield ""
    yield "```python"
    yield "import metanas"
    yield ""
    option, argument = consent(values["candidate"])
    yield f'learner = metanas.load("THIS_FILE.metanas"{argument})'
    yield "model = learner.adapt(x, y)  # the labelled examples of your task"
    yield "model.predict(queries)"
    yield "```"
    yield ""
    yield from inputs_in_words(values["preprocessing"], values["signature"]["input_shape"])
    yield ""
    if data := data_in_words(values["preprocessing"]):
        yield f"Or without programming: `metanas adapt THIS_FILE.metanas {data}{option}`."
    if option:
        yield ""
        module, _, space = str(values["candidate"]["architecture"]).removeprefix("nni:").partition(":")
        yield f"Its network is `{space}` of the module `{module}`, an NNI model space. This file does not"
        yield "hold that module: it has to be importable, and is imported only because you name it."


def inputs_in_words(preprocessing: Mapping[str, Any], input_shape: Sequence[int]) -> Iterator[str]:
    """What a learner's inputs and targets are, a line each."""
    if preprocessing.get("kind") == "image":
        colours = "grey" if preprocessing["channels"] == 1 else "RGB"
        yield f"Inputs: images of any size, made {colours} and {preprocessing['size']} pixels a side."
    elif preprocessing.get("kind") == "table":
        features, targets = (", ".join(preprocessing[name]) for name in ("features", "targets"))
        yield f"Inputs: {features}. Targets: {targets}."
    elif preprocessing.get("kind") == "columns":
        features = ", ".join(f"{known['name']} ({known['kind']})" for known in preprocessing["features"])
        yield f"Inputs: columns {features}; missing cells may be empty."
        target = preprocessing["target"]
        yield f"Target: {target['name']}."
        if "std" in target:
            yield (
                f"Scores are of {target['name']} standardised: an error of 1 is that of always predicting "
                f"its mean, {target['mean']:.4g}, where its standard deviation is {target['std']:.4g}."
            )
    else:
        yield f"Inputs: numbers of shape {list(input_shape)} an example."


def _inside(manifest: Manifest, values: Mapping[str, Any]) -> Iterator[str]:
    yield "## What it is"
    yield ""
    for root, words in in_words(manifest.candidate).items():
        yield f"- {root.capitalize()}: {words}"
    for name, words in _COSTS.items():
        if _is_number(cost := values["costs"].get(name)):
            yield f"- {words.format(cost)}"


def _origin(values: Mapping[str, Any]) -> Iterator[str]:
    yield "## Where it comes from"
    yield ""
    yield f"- metanas {values['metanas']}"
    for name, value in values["provenance"].items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
        yield f"- {name.capitalize()}: {text}"


def _interval(row: Mapping[str, Any]) -> str:
    return f"± {row['ci95']:.2g}" if _is_number(row.get("ci95")) else "unknown"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
