"""``xcrater verify``: check that everything a run keeps is as it was written."""

from __future__ import annotations

from pathlib import Path

import click

from xcrater.batch.work import WorkDir

EXAMPLE = """\b
Example:
  xcrater verify work
"""


@click.command("verify", epilog=EXAMPLE, short_help="Check everything that a run with --work-dir keeps.")
@click.argument("directory", type=click.Path(path_type=Path))
def command(directory: Path) -> int:
    """Read everything that DIRECTORY keeps, and name what is damaged; the exit code is 1 if anything is.

    Damaged groups are computed again when the run is resumed.
    """
    work = WorkDir(directory)
    run = work.existing()["run"]
    state = work.look(run, list(work.names()))
    for text in state.damaged.values():
        click.echo(text)
    click.echo(f"{len(state.finished):,} groups are as they were written, {len(state.damaged):,} are damaged")
    return 1 if state.damaged else 0
