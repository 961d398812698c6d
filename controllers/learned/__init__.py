"""The learned controller."""

from controllers.learned.controller import Learned, build

__all__ = ["Learned", "build"]
