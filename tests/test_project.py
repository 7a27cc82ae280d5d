"""What holds the project's own files together: metadata, imports, layers."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import xcrater

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "xcrater"
MODULES = sorted(PACKAGE.rglob("*.py"))

CONDA_NAMES = {"dask[array]": "dask-core"}

# Loaded on first use only: each is slow to import, optional, or both.
LATE = {"click", "craterpy", "distributed", "exactextract", "geopandas", "matplotlib"}
LATE |= {"numba", "pooch", "pyarrow", "pyogrio", "rasterstats", "zarr"}

# What a module may not import, not even inside a function.
NEVER = {
    "xcrater.database": {"xarray", "rioxarray"},
    "xcrater.regions": {"xarray", "rioxarray"},
    "xcrater.spans": {"xarray", "rioxarray"},
    "xcrater.kernels": {"xarray", "rioxarray", "pyproj"},
    "xcrater.plan": {"dask"},
}
# What a module may not import when it is itself imported; these are the modules allowed to.
AT_IMPORT_ONLY_IN = {"click": {"xcrater.cli"}, "dask": {"xcrater.graph"}}
ANYWHERE_ONLY_IN = {"xcrater.accessor": {"xcrater"}}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_lists_the_core_dependencies():
    name_and_bound = [(d.partition(">=")[0], d.partition(">=")[2]) for d in project()["dependencies"]]
    expected = {f"{CONDA_NAMES.get(name, name)}>={bound}" for name, bound in name_and_bound}
    expected |= {f"python{project()['requires-python']}", "pip"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert set(listed) == expected
    assert len(listed) == len(expected)


def test_version_is_the_installed_one():
    assert xcrater.__version__ == importlib.metadata.version("xcrater")


def test_typed():
    assert (PACKAGE / "py.typed").is_file()


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_import_is_light():
    loaded = loaded_after("import xcrater")
    # What the core dependencies load is theirs to answer for: pandas loads pyarrow wherever that is installed.
    core = loaded & {dependency.partition(">=")[0].partition("[")[0] for dependency in project()["dependencies"]}
    not_ours = loaded_after(f"import {', '.join(core - LATE)}") if core - LATE else set()
    assert (loaded - not_ours) & LATE == set()


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_or_is_in(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def imports(node: ast.AST, *, at_import: bool) -> Iterator[str]:
    """Names that a piece of code imports, or only those that it imports at once; never those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports are not used here"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from imports(ast.Module([other], []), at_import=at_import)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith(("import_module", "require")):
            if child.args and isinstance(child.args[0], ast.Constant):
                yield str(child.args[0].value)
        elif not (at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield from imports(child, at_import=at_import)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_layers(path):
    name = module_name(path)
    tree = ast.parse(path.read_text())
    anywhere, at_import = set(imports(tree, at_import=False)), set(imports(tree, at_import=True))

    never = {f for module, forbidden in NEVER.items() if is_or_is_in(name, module) for f in forbidden}
    never |= {f for f, allowed in ANYWHERE_ONLY_IN.items() if name not in allowed}
    not_at_import = {
        f for f, allowed in AT_IMPORT_ONLY_IN.items() if not any(is_or_is_in(name, module) for module in allowed)
    }
    assert {i for i in anywhere for f in never if is_or_is_in(i, f)} == set()
    assert {i for i in at_import for f in not_at_import if is_or_is_in(i, f)} == set()


@pytest.mark.parametrize(
    ("code", "anywhere", "at_import"),
    [
        ("import a.b, c", {"a.b", "c"}, {"a.b", "c"}),
        ("from a import b", {"a.b"}, {"a.b"}),
        ("def f():\n    import a", {"a"}, set()),
        ("class A:\n    import a\n    def f(self):\n        import b", {"a", "b"}, {"a"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}, {"a", "b"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}, {"b"}),
        ("def f():\n    return require('a', extra='b')", {"a"}, set()),
    ],
)
def test_imports_are_found(code, anywhere, at_import):
    assert set(imports(ast.parse(code), at_import=False)) == anywhere
    assert set(imports(ast.parse(code), at_import=True)) == at_import
