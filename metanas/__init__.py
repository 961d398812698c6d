"""metanas: searches architecture and learning rule together, and hands back a learner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanas.learner import Learner, load

__version__ = "0.1.0"
__all__ = ["Learner", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # lazily: `import metanas` must not load torch
    if name in ("Learner", "load"):
        import metanas.learner

        return getattr(metanas.learner, name)
    raise AttributeError(f"module 'metanas' has no attribute {name!r}")
