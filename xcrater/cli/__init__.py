"""The command line: ``xcrater demo``, ``xcrater stats``, ``xcrater info``, one module per command."""

from __future__ import annotations

import sys

import click

import xcrater
from xcrater.cli import demo, info, stats
from xcrater.cli.shared import one_line
from xcrater.errors import XcraterError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(xcrater.__version__, prog_name="xcrater")
def cli() -> None:
    """Impact-crater science on rasters larger than memory."""


for command in (demo.command, info.command, stats.command):
    cli.add_command(command)


def main() -> None:
    """Run the command line; bad input is answered with one line on standard error and exit code 2."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("xcrater: interrupted", err=True)
        code = 130
    except click.ClickException as err:
        click.echo(f"xcrater: {one_line(err.format_message())}", err=True)
        code = 2
    except (XcraterError, OSError, ImportError) as err:
        click.echo(f"xcrater: {one_line(str(err))}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
