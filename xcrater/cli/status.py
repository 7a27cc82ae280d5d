"""``xcrater status``: the progress of a run."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from xcrater.batch.work import WorkDir

EXAMPLE = """\b
Example:
  xcrater status work
"""


@click.command("status", epilog=EXAMPLE, short_help="Show the progress of a run with --work-dir.")
@click.argument("directory", type=click.Path(path_type=Path))
def command(directory: Path) -> None:
    """Show which run DIRECTORY belongs to, and which of its groups are finished.

    Only the sizes of files are checked; `xcrater verify` reads them.
    """
    work = WorkDir(directory)
    manifest, names = work.existing(), work.names()
    state = work.look(manifest["run"], list(names), thorough=False)
    rows = {
        "run": f"{manifest['run']}, begun {manifest['begun']} by xcrater {manifest['about']['xcrater']}",
        "command": shlex.join(["xcrater", *manifest["command"]]),
        "in": manifest["directory"],
    }
    for stage, count in enumerate(manifest["tasks"]["groups"]):
        of_stage = {name for name, (at, _) in names.items() if at == stage}
        done, bad = len(of_stage & state.finished), len(of_stage & state.damaged.keys())
        text = f"{done:,} of {count:,} groups finished, {bad:,} damaged, {count - done - bad:,} missing"
        rows["groups" if len(manifest["tasks"]["groups"]) == 1 else f"pass {stage + 1}"] = text
    for shard, runs in work.shards().items():
        if shard.parts > 1 or runs:
            mine = {name for name, (stage, number) in names.items() if stage == 0 and shard.has(number)}
            left = len(mine) - len(mine & state.finished)
            doing = "is being computed" if runs else "was interrupted" if left else "is finished"
            rows[f"shard {shard}"] = f"{len(mine) - left:,} of {len(mine):,} groups; {doing}"
    for name, text in rows.items():
        click.echo(f"{name:<12}{text}")
    for text in state.damaged.values():
        click.echo(text)
