"""Study files: what a search is of, and its options, in TOML.

.. code-block:: toml

    budget = "10m"              # any option of metanas search; the command line has the last word
    shots = 5                   # for all families

    [families.sinusoid]         # called as a family is, it is that family

    [families.wear]             # called as you like
    family = "table"
    path = "wear.csv"           # from this file's folder
    task = "machine"
    target = "wear"
    shots = 10                  # for this family alone
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from metanas.cli.asking import OWN_OPTIONS, Asked
from metanas.cli.wiring import FAMILIES
from search_spaces import plugins
from search_spaces.errors import DataError, UnknownNameError
from search_spaces.toml_file import as_toml, read_toml

_NOT_HERE = {"json", "help"}


@dataclass(frozen=True)
class StudyFile:
    """What a study file says.

    Attributes:
        families: That it names.
        options: Of the search, by their names as parameters of the command.
    """

    families: list[Asked]
    options: dict[str, Any]


def read(path: Path, parameters: list[click.Parameter]) -> StudyFile:
    """Reads a study file.

    Args:
        path: Of the file.
        parameters: Of ``metanas search``, which say what an option may be.

    Raises:
        DataError: If it is not there, not TOML, or says what no study file says; names the line.
    """
    data, lines = read_toml(path, "a study file", DataError)
    reader = _Reader(path, lines, {_key(p): p for p in parameters if _key(p)})
    families = data.pop("families", {})
    options = {"study": path.stem} | reader.options(data, "", set(reader.known))
    if not isinstance(families, dict) or not families:
        raise reader.wrong("families", "name at least one family: [families.sinusoid], say")
    return StudyFile([reader.family(name, values) for name, values in families.items()], options)


@dataclass(frozen=True)
class _Reader:
    path: Path
    lines: Mapping[str, int]
    known: Mapping[str, click.Parameter]

    def family(self, name: str, values: Any) -> Asked:
        where = f"families.{name}"
        if not isinstance(values, dict):
            raise self.wrong(where, f"{where} should be a table: [{where}]")
        given = dict(values)
        family, path = self._text(f"{where}.family", given.pop("family", name)), given.pop("path", None)
        try:
            if ":" not in family:
                plugins.load(*FAMILIES, family)
        except UnknownNameError as error:
            at = f"{where}.family" if "family" in values else where
            raise self.wrong(at, str(error)) from None
        found = None if path is None else self.path.parent / self._text(f"{where}.path", path)
        allowed = {key for key, p in self.known.items() if p.name in OWN_OPTIONS}
        return Asked(name, family, found, self.options(given, f"{where}.", allowed, ("family", "path")))

    def options(
        self,
        given: Mapping[str, Any],
        prefix: str,
        allowed: set[str],
        besides: tuple[str, ...] = ("families",),
    ) -> dict[str, Any]:
        """Options by the names of their parameters."""
        found = {}
        for key, value in given.items():
            option = key.replace("-", "_")
            if option not in allowed:
                every = sorted({*allowed, *besides})
                near = get_close_matches(option, every, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise self.wrong(prefix + key, f"no option is called {key} ({hint}known: {', '.join(every)})")
            found[str(self.known[option].name)] = self._value(prefix + key, self.known[option], value)
        return found

    def _value(self, where: str, parameter: click.Parameter, value: Any) -> Any:
        several = getattr(parameter, "multiple", False)
        if isinstance(value, list) and (several or parameter.name == "features"):
            return tuple(self._text(where, one) for one in value)
        if several:
            return (self._text(where, value),)
        kind = parameter.type
        word, right = (
            ("true or false", bool)
            if getattr(parameter, "is_flag", False)
            else ("a whole number", int)
            if isinstance(kind, click.types.IntParamType)
            else ("text", str)
        )
        if type(value) is not right:
            raise self.wrong(where, f"{where} should be {word}, not {as_toml(value)}")
        try:
            found = value if right is bool else kind.convert(value, parameter, None)
        except click.BadParameter as error:
            raise self.wrong(where, f"{where}: {error.message}") from None
        return self._from_here(parameter, found)

    def _from_here(self, parameter: click.Parameter, value: Any) -> Any:
        """Files are looked for where this one is."""
        if isinstance(value, Path):
            return self.path.parent / value
        if parameter.name == "store":
            return self._store(value)
        is_file = parameter.name == "space" and value.endswith(".toml")
        return str(self.path.parent / value) if is_file else value

    def _store(self, value: str) -> str:
        """An SQLite file is a file, too, whether or not it is written as a URL."""
        start = "sqlite:///" if value.startswith("sqlite:///") else ""
        file = Path(value.removeprefix(start)).expanduser()
        return value if "://" in value and not start else f"{start}{self.path.parent / file}"

    def _text(self, where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong(where, f"{where} should be text, not {as_toml(value)}")
        return value

    def wrong(self, where: str, why: str) -> DataError:
        return DataError(f"{self.path} line {self.lines.get(where, 1)}: {why}")


def _key(parameter: click.Parameter) -> str:
    """What a file calls an option; none for what is no option, or makes no sense there."""
    option = parameter.opts[0] if isinstance(parameter, click.Option) else ""
    name = option.removeprefix("--").replace("-", "_")
    return "" if name in _NOT_HERE else name
