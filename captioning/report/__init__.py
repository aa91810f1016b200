"""Reports of runs: tables, curves and a page of images with captions."""

from captioning.report.command import main, report_run
from captioning.report.table import summary_table

__all__ = ["main", "report_run", "summary_table"]
