"""metanas: searches architecture and learning rule together, and hands back a learner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanas.learner import Learner, load
    from search_spaces.errors import DataError, LearnerFileError, MetanasError

__version__ = "0.1.0"
__all__ = ["DataError", "Learner", "LearnerFileError", "MetanasError", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # lazily: `import metanas` must not load torch
    if name in ("Learner", "load"):
        import metanas.learner

        return getattr(metanas.learner, name)
    if name in __all__:
        import search_spaces.errors

        return getattr(search_spaces.errors, name)
    raise AttributeError(f"module 'metanas' has no attribute {name!r}")
