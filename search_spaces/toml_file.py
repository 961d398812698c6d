"""TOML files of the user's: their values, and the lines that messages name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_spaces.errors import MetanasError

_MOST = 1_000_000  # bytes


def read_toml(path: Path, what: str, wrong: type[MetanasError]) -> tuple[dict[str, Any], dict[str, int]]:
    """Reads a TOML file.

    Args:
        path: Of the file.
        what: It should be, for messages: ``"a space file"``.
        wrong: What is raised if it is not.

    Returns:
        Its values, and the line, from 1, of each dotted name.

    Raises:
        MetanasError: ``wrong``, if it is not there, or not TOML.
    """
    try:
        if path.stat().st_size > _MOST:
            raise wrong(f"{path} is larger than {_MOST:,} bytes: not {what}")
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), dict(_lines(text))
    except OSError as error:
        raise wrong(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise wrong(f"{path} is not TOML: {error}") from None


def as_toml(value: Any) -> str:
    """A value as a TOML file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Dotted names and their lines; TOML's reader does not tell."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            name = header[1].strip().replace('"', "").replace(" ", "")
            section = name + "."
            yield name, number
        elif key := re.match(r"\s*([\w.\"-]+)\s*=", line):
            yield section + key[1].replace('"', ""), number
