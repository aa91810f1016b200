"""Reports of runs: tables, curves and a page of pictures with captions."""

from captioning.report.command import main
from captioning.report.table import summary_table

__all__ = ["main", "summary_table"]
