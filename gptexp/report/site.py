"""A report as a folder that a web host serves as it is: GitHub Pages, a static Space, any web server."""

from __future__ import annotations

from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.report.bundle import MANIFEST, hash_content, write_bundle
from gptexp.report.document import BuiltReport, write_plain
from gptexp.report.finish import Files

PRIVATE = "command"
"""What a run's entry in the manifest says of its machine; `repeat` says how to make the run again."""
README = """---
title: "{title}"
sdk: static
app_file: index.html
---

# {title}

`index.html` is the page; it loads nothing from elsewhere. `PASTING.md` says how to take its figures and tables into a
page of your own. Made from run records by `gptexp report {report}`.
"""
"""The lines at its top are those that a static Space of Hugging Face reads.

Source: https://huggingface.co/docs/hub/spaces-config-reference
"""


def publish_report(report: BuiltReport, folder: Path) -> None:
    """Make `folder` hold the report for a web host. What else lies in it stays where an earlier report was published.

    Beside the report's files it gets `.nojekyll`, so that GitHub Pages serves every file as it is, and a README with
    the settings of a static Space. The manifest keeps the runs and checksums, and leaves out the commands that were
    typed and the damaged files of the runs folder: both may name places on the machine.

    Raises:
        GptexpError: `folder` holds other things than a published report, or can't be written.
    """
    name = report.manifest["report"]
    files: Files = {path: content for path, content in report.files.items() if path != MANIFEST}
    added = {".nojekyll": "", "README.md": README.format(title=f"gptexp report {name}", report=name)}
    entries = [{"path": path, "run_ids": [], "sha256": hash_content(content)} for path, content in added.items()]
    runs = {
        run_id: {key: value for key, value in run.items() if key != PRIVATE}
        for run_id, run in report.manifest["runs"].items()
    }
    manifest = {**report.manifest, "files": [*report.manifest["files"], *entries], "runs": runs}
    del manifest["damaged"]
    try:
        write_bundle(folder, {**files, **added, MANIFEST: write_plain(manifest)})
    except GptexpError as error:
        raise GptexpError(str(error).replace("--out", "--publish")) from None
