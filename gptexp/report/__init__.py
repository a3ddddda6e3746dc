"""Frames to figures, tables and a page."""
