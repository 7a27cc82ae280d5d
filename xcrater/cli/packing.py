"""Options that a command receives together, as one record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

Command = Callable[..., None]


def packed(command: Command, name: str, record: Any, options: Sequence[Callable[[Command], Command]]) -> Command:
    """A command with more options, whose values it receives as one record under a name.

    Parameters
    ----------
    command : callable
        The command.
    name : str
        Name of its argument that the record is passed as.
    record : NamedTuple class
        Its fields are named as the options are.
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
