"""The learned controller."""

from controllers.learned.controller import Learned, build
from controllers.learned.snapshot import Snapshot

__all__ = ["Learned", "Snapshot", "build"]
