"""Frames to figures, tables and a page."""

from gptexp.report.build import build_report
from gptexp.report.check import check_report

__all__ = ["build_report", "check_report"]
