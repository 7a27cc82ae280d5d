"""Every public name has an example, which the suite runs as a doctest, and a place on the site."""

from __future__ import annotations

import ast
import builtins
import doctest
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import click
import pytest

import xcrater
from xcrater import aggregations, errors
from xcrater.accessor.datasets import DatasetCratersAccessor
from xcrater.cli import cli
from xcrater.display.diagrams import PowerLaw
from xcrater.display.plan import CraterPlan, Outlook
from xcrater.geometry.bodies import body_names, to_geodetic
from xcrater.pixels.blocks import Blocks
from xcrater.pixels.container import CraterArrays
from xcrater.pixels.indexing import RegionArrays
from xcrater.pixels.ragged import Ragged
from xcrater.table.cells import decimal_degrees
from xcrater.table.ellipses import Ellipses
from xcrater.table.polygon_tables import make_polygon_table
from xcrater.table.text_files import read_text

PAGES = sorted((Path(__file__).parents[1] / "notebooks" / "site" / "api").glob("*.rst"))

# Names that calls return, and names to which docstrings refer readers.
RESULTS = (CraterArrays, RegionArrays, Ragged, Blocks, CraterPlan, Outlook, DatasetCratersAccessor, PowerLaw)
HELPERS = (read_text, decimal_degrees, to_geodetic, make_polygon_table, Ellipses)
# Members without an underscore that only the package uses.
INTERNAL = {
    "OrderStatistics": {"distinct", "columns", "quantile_column", "frequency_column", "share_column"},
    "OrderTable": {"block", "declared_by"},
    "Blocks": {"groups"},
    "Ellipses": {"check", "curves", "describe", "enter", "of_craters", "polygons"},
}


def members(cls: type) -> Iterator[tuple[str, str]]:
    """Methods and properties that a class offers, with their docstrings, except those inherited from other packages."""
    for name, member in inspect.getmembers_static(cls):
        function: Any = member
        if isinstance(member, property):
            function = member.fget
        elif isinstance(member, cached_property):
            function = member.func
        elif isinstance(member, classmethod | staticmethod):
            function = member.__func__
        if not isinstance(function, FunctionType) or not function.__module__.startswith("xcrater"):
            continue
        alias = function.__name__ != name
        if not (name.startswith("_") or alias or name in INTERNAL.get(cls.__name__, ())):
            yield f"{cls.__name__}.{name}", inspect.getdoc(function) or ""


def documented(thing: Any, name: str) -> Iterator[tuple[str, str]]:
    """A public name with its docstring, and its members with theirs."""
    if isinstance(thing, ModuleType):
        for inner, function in vars(thing).items():
            if inspect.isfunction(function) and function.__module__ == thing.__name__ and not inner.startswith("_"):
                yield inner, inspect.getdoc(function) or ""
        return
    yield name, inspect.getdoc(thing) or ""
    if inspect.isclass(thing) and not issubclass(thing, Warning):
        yield from members(thing)


def public() -> dict[str, str]:
    """All public names with their docstrings."""
    things = {name: getattr(xcrater, name) for name in xcrater.__all__}
    things["all_bodies"] = body_names  # a list, which has no docstring of its own
    things |= {name: getattr(aggregations, name) for name in aggregations.__all__}
    things |= {thing.__name__: thing for thing in (*RESULTS, *HELPERS)}
    things |= {name: thing for name, thing in vars(errors).items() if inspect.isclass(thing)}
    constants = {"AGGREGATIONS", "RASTERSTATS"}
    return dict(pair for name in things.keys() - constants for pair in documented(things[name], name))


PUBLIC = public()


def test_public_names_are_found():
    members = {"CraterDatabase.query", "CraterDatabase.merge", "CraterDatabase.lat", "CratersAccessor.get_stats"}
    assert members | {"open_mosaic", "synthetic_mosaic", "CraterArrays.nbytes", "GridError"} <= set(PUBLIC)


def test_every_public_name_has_an_example():
    """The suite runs the examples as doctests, which pytest collects from the package."""
    pattern = re.compile(r"^Examples\n-{8}\n(?:.*\n)*?>>> ", re.MULTILINE)
    assert [name for name, doc in sorted(PUBLIC.items()) if not pattern.search(doc)] == []


def unknown(doc: str) -> set[str]:
    """Names that an example uses without importing or defining them."""
    used, known = set(), set(dir(builtins))
    for example in doctest.DocTestParser().get_examples(doc):
        for node in ast.walk(ast.parse(example.source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                known.add(node.name)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                known.add(node.name)
            elif isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
    return used - known


def test_examples_can_be_pasted_into_a_prompt():
    """Examples import all they use, except the function or class they belong to, whatever their module imports."""
    own = {name: {name.partition(".")[0]} for name in PUBLIC}
    missing = {name: unknown(doc) - own[name] for name, doc in PUBLIC.items()}
    assert {name: names for name, names in missing.items() if names} == {}


def test_every_public_name_is_on_the_site():
    directives = re.compile(r"^\.\. (?:auto)?(\w+):: ([\w.]+)(?:\n   :members:(.*))?$", re.MULTILINE)
    shown = set()
    for kind, name, listed in (found.groups() for page in PAGES for found in directives.finditer(page.read_text())):
        last = name.rpartition(".")[2]
        if kind != "module":
            shown.add(name)
        if listed is not None and not listed.strip():  # all members of a class or module
            within = tuple(f"{inner}." for inner in (vars(import_module(name)) if kind == "module" else {last}))
            shown |= {known for known in PUBLIC if f"{known}.".startswith(within)}
        elif listed is not None:
            shown |= {f"{name}.{member.strip()}" for member in listed.split(",")}
    assert [name for name in sorted(PUBLIC) if not any(f".{there}".endswith(f".{name}") for there in shown)] == []


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_shows_an_example(name):
    command = cli.commands[name]
    help_text = command.get_help(click.Context(command, info_name=f"xcrater {name}"))
    assert re.search(rf"xcrater {name}\b", help_text.partition("Example")[2])
