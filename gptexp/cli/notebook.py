"""notebook: the lesson's notebook for students, solved, and a page for who teaches it."""

from __future__ import annotations

from pathlib import Path

import click

from gptexp.cli.options import UserPath, json_option, print_json
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError


@click.command("notebook")
@click.option(
    "--out",
    type=UserPath(file_okay=False),
    default=Path("reports/notebook"),
    show_default=True,
    help="Folder of the notebooks.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file is not what the source gives.")
@click.option("--replace", is_flag=True, help="Write over notebooks that were changed, too.")
@json_option
@click.pass_context
def notebook_command(context: click.Context, out: Path, check: bool, replace: bool, as_json: bool) -> None:
    """Write the lesson's notebook: the student's edition, the solved one, and the instructor's page.

    The source came with gptexp. Nothing is trained and no cell is run: open the notebook in Jupyter, VS Code or Colab.
    A file that somebody has changed is left alone.

    \b
    Examples:
      gptexp notebook
      gptexp notebook --out my-course
      gptexp notebook --check
    """
    from gptexp.notebook.build import find_drift, write_files

    if check and replace:
        raise GptexpError("--check writes nothing; leave out --replace, or --check")
    written = [] if check else write_files(out, replace=replace)
    problems = find_drift(out) if check else []
    if as_json:
        print_json("gptexp.notebook/1", {"written": [str(path) for path in written], "problems": list(problems)})
    for path in written:
        say(path)
    for problem in problems:
        say(f"{out}: {problem}; gptexp notebook --out {out} --replace writes it again")
    if problems:
        context.exit(1)
    if check:
        say(f"{out} is what the source gives")
