"""The exported learner: write it, read it, adapt it to a new task, predict."""

from metanas.learner.file import load, save
from metanas.learner.learner import Learner, Model
from metanas.learner.manifest import Manifest

__all__ = ["Learner", "Manifest", "Model", "load", "save"]
