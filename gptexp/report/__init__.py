"""Frames to figures, tables and a page."""

from gptexp.report.build import build_report

__all__ = ["build_report"]
