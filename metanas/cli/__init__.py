"""The command line: one file a group of commands, and the only place that wires it all."""

from metanas.cli.app import main

__all__ = ["main"]
