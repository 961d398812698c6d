"""The pictures that a search leaves: pure functions of plain data, neither store nor torch."""

from metanas.report.charts import task_caption, task_charts
from metanas.report.inputs import Example, Summary
from metanas.report.picture import draw, draw_front, figure
from metanas.report.style import SIZE

__all__ = ["SIZE", "Example", "Summary", "draw", "draw_front", "figure", "task_caption", "task_charts"]
