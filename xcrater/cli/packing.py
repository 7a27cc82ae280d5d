"""Groups of options that a command receives as one record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

Command = Callable[..., None]


def packed(command: Command, name: str, record: Any, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add options to a command, which receives their values as one record under a name.

    Parameters
    ----------
    command : callable
        The command.
    name : str
        Name of the argument by which the command receives the record.
    record : NamedTuple class
        Class of the record, whose fields have the names of the options.
    options : sequence of callable
        The options, as click declares them.
    """

    @functools.wraps(command)
    def received(**values: Any) -> None:
        command(**{name: record(**{field: values.pop(field) for field in record._fields})}, **values)

    with_record: Command = received
    for option in reversed(options):
        with_record = option(with_record)
    return with_record
