"""Tasks × candidates as one batch: execution, devices, memory."""

from metanas.engine.devices import PRECISIONS, keep_freed_memory, resolve_device, trains_in_half, warm_up
from metanas.engine.engine import Engine
from metanas.engine.execution import EXECUTIONS
from metanas.engine.layout import Layout
from metanas.engine.program import Program

__all__ = [
    "EXECUTIONS",
    "PRECISIONS",
    "Engine",
    "Layout",
    "Program",
    "keep_freed_memory",
    "resolve_device",
    "trains_in_half",
    "warm_up",
]
