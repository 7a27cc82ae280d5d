"""``xcrater verify``: whether all that a run keeps is as it was written."""

from __future__ import annotations

from pathlib import Path

import click

from xcrater.batch.work import WorkDir

EXAMPLE = """\b
Example:
  xcrater verify work
"""


@click.command("verify", epilog=EXAMPLE, short_help="Read all that a run with --work-dir keeps.")
@click.argument("directory", type=click.Path(path_type=Path))
def command(directory: Path) -> int:
    """Read all that DIRECTORY keeps, and name what is not as it was written; then the exit code is 1.

    Damaged groups are computed again when the run is taken up.
    """
    work = WorkDir(directory)
    run = work.existing()["run"]
    state = work.look(run, list(work.names()))
    for text in state.damaged.values():
        click.echo(text)
    click.echo(f"{len(state.finished):,} groups are as they were written, {len(state.damaged):,} are damaged")
    return 1 if state.damaged else 0
