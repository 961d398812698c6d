"""Text that the font can draw and that fits where it stands, and numbers in words."""

from __future__ import annotations

import math
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from metanas.report.style import DPI, FONT, SMALL, TEXT
from search_spaces import Score

METRICS = {"mse": "mean squared error", "accuracy": "accuracy"}


def plain(text: str) -> str:
    r"""One line of what the font can draw; anything else is a question mark.

    Example:
        >>> plain("pumps\n(北, ΔT)")
        'pumps (?, ΔT)'
    """
    return "".join(letter if ord(letter) in _letters() else "?" for letter in " ".join(text.split()))


def width(text: str, size: float, weight: str = "normal") -> float:
    """Pixels that the text takes at a size in points."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    points: float = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
    return points * DPI / 72


def fitted(text: str, room: float, size: float = SMALL, weight: str = "normal") -> str:
    """The text if it fits into so many pixels, else its beginning with an ellipsis."""
    text = plain(text)
    if width(text, size, weight) <= room:
        return text
    fits, too_long = 0, len(text)  # letters
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width(text[:middle].rstrip() + "…", size, weight) <= room:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…"


def wrapped(text: str, room: float, lines: int, size: float = TEXT, weight: str = "normal") -> str:
    """The text in at most so many lines of so many pixels; the last one ends in an ellipsis if need be."""
    words, done = plain(text).split(), list[str]()
    while words:
        taken = 1 if len(done) < lines - 1 else len(words)
        while taken < len(words) and width(" ".join(words[: taken + 1]), size, weight) <= room:
            taken += 1
        done.append(fitted(" ".join(words[:taken]), room, size, weight))
        words = words[taken:]
    return "\n".join(done)


def number(value: float) -> str:
    """A number as short as it can be read.

    Example:
        >>> number(0.00512), number(45.0), number(12_345_678.0), number(float("nan"))
        ('0.00512', '45', '1.23e+07', 'not finite')
    """
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def amount(value: float) -> str:
    """A count in thousands, millions and so on.

    Example:
        >>> amount(500), amount(20_000), amount(1.5e6), amount(2e13)
        ('500', '20 k', '1.5 M', '20 T')
    """
    power = min(4, max(0, math.floor(math.log10(max(value, 1)) / 3 + 1e-9)))
    return f"{value / 1000**power:.4g} {' kMGT'[power]}".strip()


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "trial"), plural(1200, "trial")
        ('1 trial', '1,200 trials')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def score_in_words(score: Score, *, interval: bool = True) -> str:
    """A score with its interval, to the digits that the interval leaves.

    Example:
        >>> score_in_words(Score("mse", 0.005123, 0.00031, 1000, "test"))
        '0.0051 ± 0.0003'
        >>> score_in_words(Score("accuracy", 0.98213, 0.0011, 1000, "test"))
        '98.2 % ± 0.1 %'
        >>> score_in_words(Score("mse", 0.3, float("inf"), 1, "test"))
        '0.3'
    """
    if not math.isfinite(score.value):
        return "not finite"
    known = interval and math.isfinite(score.ci95)
    value, ci95 = _percent(score) if score.metric == "accuracy" else _rounded(score)
    return f"{value} ± {ci95}" if known else value


def _percent(score: Score) -> tuple[str, str]:
    digits = 2 if score.ci95 < 0.0005 else 1
    return f"{100 * score.value:.{digits}f} %", f"{100 * score.ci95:.{digits}f} %"


def _rounded(score: Score) -> tuple[str, str]:
    value, ci95 = score.value, score.ci95
    if not 1e-6 <= ci95 < 1e4 or abs(value) >= 1e6:
        return number(value), number(ci95)
    power = math.floor(math.log10(ci95))
    digits = max(0, -power + (ci95 < 3 * 10**power))  # one more where rounding would cost much
    return f"{value:,.{digits}f}", f"{ci95:,.{digits}f}"


@cache
def _letters() -> frozenset[int]:
    """Code points that the font has in both weights."""
    fonts = [get_font(findfont(FontProperties(family=FONT, weight=weight))) for weight in ("normal", "bold")]
    return frozenset(fonts[0].get_charmap()) & frozenset(fonts[1].get_charmap())
