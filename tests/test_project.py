"""The project's own files are consistent: metadata, imports, layers, sizes, and the contributors' guide."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import xcrater
from xcrater import CraterDatabase, tutorial

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "xcrater"
MODULES = sorted(PACKAGE.rglob("*.py"))

CONDA_NAMES = {"dask[array]": "dask-core"}

# Loaded on first use only: each is slow to import, optional, or both.
LATE = {"click", "craterpy", "distributed", "exactextract", "geopandas", "matplotlib"}
LATE |= {"numba", "pooch", "pyarrow", "pyogrio", "rasterstats", "rich", "zarr"}

# The layers of the package, from the user's side down. A module may import its own layer and those below it, never
# those above, whatever the kind of import: at the top, for type checkers, or inside a function.
LAYERS = (
    ("xcrater.cli", "xcrater.__main__"),
    ("xcrater.batch",),
    ("xcrater",),
    ("xcrater.accessor", "xcrater.tutorial"),
    ("xcrater.database",),
    ("xcrater.frames",),
    ("xcrater.aggregations",),
    ("xcrater.display",),
    ("xcrater.statistics",),
    ("xcrater.pixels",),
    ("xcrater.engine",),
    ("xcrater.raster", "xcrater.table"),
    ("xcrater.geometry",),
    ("xcrater.kernels",),
    ("xcrater.errors", "xcrater.options", "xcrater.formatting", "xcrater._optional", "xcrater._deprecation"),
)

# Libraries that no module of a package may import, not even inside a function.
NEVER = {
    "xcrater.table": {"xarray", "rioxarray"},
    "xcrater.geometry": {"xarray", "rioxarray"},
    "xcrater.kernels": {"xarray", "rioxarray", "pyproj", "shapely"},
    "xcrater.engine.plan": {"dask"},
}
# Libraries that modules may import only inside functions, except these modules.
AT_IMPORT_ONLY_IN = {
    "click": {"xcrater.cli"},
    "dask": {"xcrater.engine.graph", "xcrater.batch", "xcrater.cli"},
    "numba": {"xcrater.kernels"},
}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_lists_the_core_dependencies():
    name_and_bound = [(d.partition(">=")[0], d.partition(">=")[2]) for d in project()["dependencies"]]
    expected = {f"{CONDA_NAMES.get(name, name)}>={bound}" for name, bound in name_and_bound}
    expected |= {f"python{project()['requires-python']}", "pip"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert set(listed) == expected
    assert len(listed) == len(expected)


def test_dependencies_that_users_install_have_no_upper_bounds():
    """Only `sample` pins a version, and no other extra includes it."""
    extras = project()["optional-dependencies"]
    assert "sample" not in extras["all"][0]
    for requirement in sum((extras[name] for name in extras.keys() - {"sample"}), project()["dependencies"]):
        assert not re.search("[<~=!]=|<", requirement.replace(">=", "")), requirement


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
    # Modules that core dependencies load do not count; pandas, for one, loads pyarrow if it is installed.
    core = loaded & {dependency.partition(">=")[0].partition("[")[0] for dependency in project()["dependencies"]}
    not_ours = loaded_after(f"import {', '.join(core - LATE)}") if core - LATE else set()
    assert (loaded - not_ours) & LATE == set()


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_or_is_in(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def imports(node: ast.AST, *, at_import: bool) -> Iterator[str]:
    """Names that code imports at all, or only at import time; imports for type checkers are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "use absolute imports"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from imports(ast.Module([other], []), at_import=at_import)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith(("import_module", "require")):
            if child.args and isinstance(child.args[0], ast.Constant):
                yield str(child.args[0].value)
        elif not (at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield from imports(child, at_import=at_import)


def all_imports(path: Path) -> set[str]:
    """Modules of the package that a module imports, by any kind of import."""
    names = {module_name(other) for other in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "use absolute imports"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in names else str(node.module))
    return (found & names) - {module_name(path)}


IMPORTS = {module_name(path): all_imports(path) for path in MODULES}


def layer(module: str) -> int:
    """Index of a module's layer, counted from the user's side; its most specific entry counts."""
    places = {entry: n for n, entries in enumerate(LAYERS) for entry in entries}
    return places[max((entry for entry in places if is_or_is_in(module, entry)), key=len)]


def test_every_module_has_a_layer():
    assert {name for name in IMPORTS if layer(name) == layer("xcrater")} == {"xcrater"}


@pytest.mark.parametrize("name", IMPORTS)
def test_imports_go_down(name):
    assert {other for other in IMPORTS[name] if layer(other) < layer(name)} == set()


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules that all import each other, directly or indirectly."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    reached = {name: reach(name) for name in graph}
    return [{name} | {o for o in reached[name] if name in reached[o]} for name in graph if name in reached[name]]


def test_there_are_no_circular_imports():
    # Loading a module also loads its package's __init__, but only modules imported by name count.
    assert circles(IMPORTS) == []


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == 3 * [{"a", "b", "c"}]
    assert circles({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_of_other_packages(path):
    name = module_name(path)
    tree = ast.parse(path.read_text())
    anywhere, at_import = set(imports(tree, at_import=False)), set(imports(tree, at_import=True))

    never = {f for module, forbidden in NEVER.items() if is_or_is_in(name, module) for f in forbidden}
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


# Limits beyond which a piece should be split by its ideas.
MODULE_LINES, CLASS_LINES, METHODS, PARAMETERS = 600, 300, 25, 12

# Larger pieces, and why splitting them would be worse. Names are ``module`` or ``module:qualified name``.
LARGER: dict[str, str] = {
    "xcrater.accessor.elevations:ElevationMethods.depths": "the options of one measurement, all but one by keyword",
    "xcrater.display.plot_table:PlotTable.plot": "the arguments of craterpy's call, and how a map looks, by keyword",
    "xcrater.display.plot_table:PlotTable.plot_rois": "the arguments of craterpy's call; how panels look, by keyword",
}
# Larger pieces that are still to be split; never add to these.
DEBTS: set[str] = set()


def larger_than_wanted(path: Path) -> Iterator[str]:
    """Names of the pieces of a module that exceed the limits, including the module itself."""
    text, name = path.read_text(), module_name(path)
    if len(text.splitlines()) > MODULE_LINES:
        yield name

    def visit(node: ast.AST, prefix: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = f"{prefix}{getattr(child, 'name', '')}"
            if isinstance(child, ast.ClassDef):
                methods = [m for m in child.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)]
                assert child.end_lineno is not None
                if child.end_lineno - child.lineno + 1 > CLASS_LINES or len(methods) > METHODS:
                    yield inner
                yield from visit(child, f"{inner}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = [*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs]
                if sum(a.arg not in ("self", "cls") for a in arguments) > PARAMETERS:
                    yield inner
                yield from visit(child, f"{inner}.")
            else:
                yield from visit(child, prefix)

    yield from visit(ast.parse(text), f"{name}:")


def test_no_piece_exceeds_the_limits_of_size():
    found = {name for path in MODULES for name in larger_than_wanted(path)}
    assert found - set(LARGER) - DEBTS == set()
    assert (set(LARGER) | DEBTS) - found == set(), "these are within the limits now; remove them from the list"
    assert all(len(reason.split()) > 3 for reason in LARGER.values())


GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()


def fenced(language: str) -> list[str]:
    """Code blocks in one language from the contributors' guide."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def in_checkout(name: str) -> Path:
    """A path named in the guide, relative to the package or to the checkout."""
    return PACKAGE / name if (PACKAGE / name).exists() else ROOT / name


def defined_in(path: Path) -> set[str]:
    """Names that a module defines, including members of its classes."""

    def visit(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from visit(node.body, f"{prefix}{node.name}.")
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                for part in ast.walk(target) if target is not None else ():
                    yield prefix + getattr(part, "id", "")

    return set(visit(ast.parse(path.read_text()).body, ""))


def test_the_guide_shows_the_layers():
    (picture,) = fenced("layers")
    shown = [line.split() for line in picture.splitlines()]
    assert shown == [[entry.removeprefix("xcrater.") for entry in entries] for entries in LAYERS]


@pytest.mark.parametrize("mention", sorted(set(re.findall(r"`([\w/.]+\.py(?::[\w.]+)?)`", GUIDE))))
def test_what_the_guide_mentions_exists(mention):
    module, _, name = mention.partition(":")
    path = in_checkout(module)
    assert path.is_file()
    assert not name or name in defined_in(path)


def test_every_package_has_its_line_in_the_guide():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages - set(re.findall(r"`(\w+)/`", GUIDE)) == set()


def test_the_guide_walks_through_fewer_than_ten_modules():
    stops = re.findall(r"^\d\. `([\w/]+\.py):", GUIDE, re.MULTILINE)
    assert stops[0] == "accessor/statistics.py"
    assert 5 < len(set(stops)) < 10


def test_examples_of_changes_in_the_guide_apply():
    changes = fenced("diff")
    assert changes
    for change in changes:
        header, *lines = change.splitlines()
        text = (ROOT / header.removeprefix("--- ")).read_text()
        there = "\n".join(line for line in lines if not line.startswith("+")).split("\n...\n")
        for part in there:
            assert "\n".join(line.removeprefix(" ") for line in part.splitlines()) in text


def test_the_region_type_in_the_guide_works():
    (example,) = fenced("python")
    defined: dict = {"__name__": "guide"}
    sys.modules.setdefault("guide", type(sys)("guide"))  # dataclasses look up their module here
    exec(example, defined)
    craters = pd.DataFrame({"lat": [10.0, -88.0, 40.0], "lon": [20.0, 50.0, 179.9], "radius": [50e3, 80e3, 20e3]})
    cdb, alike = CraterDatabase(craters, "moon"), CraterDatabase(craters.assign(radius=70e3), "moon")
    cdb.regions["near"] = defined["GroundDisc"](70e3)
    alike.add_circles("near", nvert=None)
    dem = tutorial.synthetic_mosaic("moon", ppd=2)
    found, wanted = (dem.craters.get_stats(table, "near", "count mean", coverage="center") for table in (cdb, alike))
    np.testing.assert_array_equal(found["count"], wanted["count"])
    np.testing.assert_allclose(found["mean"], wanted["mean"], rtol=1e-12)
    assert [shape.bounds for shape in cdb.near] == [shape.bounds for shape in alike.near]
