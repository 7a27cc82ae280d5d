"""A pytest plugin that checks whether the quick run touches every module of the package.

``python -m pytest -p tests.touched`` runs the tests of the quick run first, records in which modules a function ran
during these, and fails if there is a module that none of them entered. It is meant for the whole suite and for the
quick run itself, ``-m "not slow"``; a smaller choice of tests touches fewer modules. The record is made by a statement
at the start of each function, so tests take no longer than without it. Kernels are recorded if they were called from
Python.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
KERNELS = "xcrater.kernels"
Function = ast.FunctionDef | ast.AsyncFunctionDef

entered: set[str] = set()
"""Modules in which a function has run in this process."""
of_quick_tests: set[str] | None = None
"""The same when the first slow test began in this process, or None before that."""
found: set[str] = set()
"""Modules that the quick tests of all processes have touched."""


def outer_functions(node: ast.AST) -> Iterator[Function]:
    """Functions and methods, but none nested in another: dask may send those to a process without this plugin."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            last = child.body[-1]
            if not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant)):  # otherwise it does nothing
                yield child
        elif not isinstance(child, ast.Lambda):
            yield from outer_functions(child)


class NotingLoader(SourceFileLoader):
    """Loads a module whose functions record that they run."""

    def source_to_code(self, data: Any, path: Any, **options: Any) -> Any:  # type: ignore[override]
        tree = ast.parse(data)
        for function in outer_functions(tree):
            first = function.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            note = ast.parse(f"_note_module({self.name!r})").body[0]
            for part in ast.walk(note):
                ast.copy_location(part, first)
            function.body.insert(int(documented), note)
        return compile(tree, path, "exec", dont_inherit=True)

    def path_stats(self, path: Any) -> Any:
        raise OSError("neither read nor write bytecode: it is not that of the source")


class NotingFinder:
    """Finds the package's modules for `NotingLoader`, except kernels, whose bytecode numba reads."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] != "xcrater" or f"{name}.".startswith(f"{KERNELS}."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = NotingLoader(spec.loader.name, spec.loader.path)
        return spec


in_time = not any(name.partition(".")[0] == "xcrater" for name in sys.modules)
"""Whether this runs before the package is imported, as a plugin does; later, pytest collects doctests from it."""
if in_time:
    builtins._note_module = entered.add  # type: ignore[attr-defined]
    sys.meta_path.insert(0, NotingFinder)


def pytest_configure() -> None:
    assert in_time, "this plugin must be loaded before the package"


def kernels_called() -> set[str]:
    """Modules of kernels called from Python, and of the functions compiled into these."""
    called = set()
    for name, module in sys.modules.items():
        if name.startswith(f"{KERNELS}."):
            own = (value for value in vars(module).values() if getattr(value, "__module__", None) == name)
            if any(getattr(value, "overloads", None) for value in own):
                called.add(name)
    waiting = list(called)
    while waiting:
        tree = ast.parse(Path(sys.modules[waiting.pop()].__file__ or "").read_text())
        parts = {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
        new = {part for part in parts if part.startswith(f"{KERNELS}.")} - called
        called |= new
        waiting += new
    return called


def expected() -> set[str]:
    """Modules that contain a function."""
    names = set()
    for path in (ROOT / "xcrater").rglob("*.py"):
        if path == ROOT / "xcrater" / "kernels" / "__init__.py":
            continue  # only forwards names; whether it is used shows in the kernels
        if next(outer_functions(ast.parse(path.read_text())), None) is not None:
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=is_slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    global of_quick_tests
    if of_quick_tests is None and is_slow(item):
        of_quick_tests = entered | kernels_called()


def pytest_testnodedown(node: Any) -> None:
    found.update(getattr(node, "workeroutput", {}).get("touched", ()))


def untouched() -> list[str]:
    return sorted(expected() - found)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    touched = entered | kernels_called() if of_quick_tests is None else of_quick_tests
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["touched"] = sorted(touched)
        return
    found.update(touched)
    if untouched() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if missing := untouched():
        terminalreporter.section("modules that the quick run does not touch")
        terminalreporter.line("\n".join(missing))
    else:
        terminalreporter.line(f"The tests of the quick run touch all {len(expected())} modules that hold a function.")
