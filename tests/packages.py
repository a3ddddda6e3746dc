"""Packages of somebody else, installed for one test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install_package(site: Path, name: str, entries: str, modules: Mapping[str, str]) -> None:
    """Put a package into `site` as pip does; the test puts that folder on the path.

    Args:
        entries: of entry_points.txt.
        modules: name -> source.
    """
    about = site / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)
