"""``xcrater merge``: write the output of a run whose shards have been computed."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path

import click

from xcrater.batch.work import WorkDir

EXAMPLE = """\b
Example:
  xcrater merge work --threads 8
"""


@click.command(
    "merge",
    epilog=EXAMPLE,
    short_help="Write the output of a run from its shards.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF THE RUN]...")
@click.pass_context
def command(context: click.Context, directory: Path, options: tuple[str, ...]) -> None:
    """Write the output of the run whose shards are in DIRECTORY.

    The command that began the run is repeated in the directory where it was started, without --shard; further OPTIONS
    of it, such as --threads or --overwrite, are added. Missing or damaged groups are computed. While a shard is still
    being computed, merging is refused.
    """
    work = WorkDir(directory.absolute())
    manifest = work.existing()
    running = [str(shard) for shard, runs in work.shards().items() if runs]
    if running:
        raise click.UsageError(f"shard {', '.join(running)} of {str(directory)!r} is being computed; wait for it")
    arguments = [*manifest["command"], *options, "--work-dir", str(work.path)]
    if not Path(manifest["directory"]).is_dir():
        raise click.UsageError(
            f"the run was begun in {manifest['directory']!r}, which is not here; repeat its command: "
            + shlex.join(["xcrater", *arguments])
        )
    assert context.parent is not None
    root, said = context.parent.command, sys.argv
    try:
        sys.argv = ["xcrater", *arguments]
        with contextlib.chdir(manifest["directory"]):
            root.main(arguments, standalone_mode=False)
    finally:
        sys.argv = said
