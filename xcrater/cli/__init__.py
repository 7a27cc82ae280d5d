"""The command line, one module per command.

Exit codes: 0 if the command succeeded; 1 if it failed on the way, for example because of a damaged file, lost workers
or a full disk; 2 if its input was refused before anything was computed; 75 if a signal of a batch system stopped a run
that keeps what it has finished and resumes when it is started again; 130 if it was interrupted from the keyboard. Every
failure except a bug in the program is reported as one line on standard error.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import click

import xcrater
from xcrater.batch.run import ShardFinished
from xcrater.cli import (
    arrays,
    chips,
    convert,
    demo,
    depths,
    info,
    merge,
    plan,
    profile,
    stats,
    status,
    verify,
)
from xcrater.cli.shared import one_line
from xcrater.cli.work import STOPPED, Stopped, stoppable
from xcrater.errors import CheckpointWriteError, DamagedCheckpointError, LostTilesError, ReadError, XcraterError

EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed on the way: a damaged file, lost workers, a full disk
  2    refused before anything was computed
  75   stopped by SIGTERM or SIGUSR1: start the same command again; it
       resumes with --work-dir, when converting, and when writing arrays
  130  interrupted from the keyboard
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(xcrater.__version__, prog_name="xcrater")
def cli() -> None:
    """Impact-crater science on rasters larger than memory."""


for module in (stats, profile, depths, arrays, chips, plan, convert, merge, status, verify, info, demo):
    cli.add_command(module.command)


def main() -> None:
    """Run the command line; failures are reported by one line on standard error and an exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        sys.exit(_run())


def _run() -> int:
    try:
        with stoppable():
            code = cli.main(standalone_mode=False)
    except ShardFinished:
        return 0
    except Stopped as stop:
        _say(str(stop), STOPPED)
        sys.stderr.flush()
        os._exit(STOPPED)  # without waiting for the threads' current tiles, since the batch system will not wait either
    except click.exceptions.Abort:
        return _say("interrupted", 130)
    except click.ClickException as err:
        return _say(err.format_message(), 2)
    except (ReadError, LostTilesError, CheckpointWriteError, DamagedCheckpointError) as err:
        return _say(str(err), 1)
    except (
        XcraterError,
        ImportError,
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
    ) as err:
        return _say(str(err), 2)
    except OSError as err:
        return _say(str(err), 1)
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    click.echo(f"xcrater: {one_line(message)}", err=True)
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning like the commands' own messages, without the source line that raised it."""
    click.echo(f"xcrater: warning: {one_line(str(message))}", err=True)
