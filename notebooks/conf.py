"""The site: README, notebooks and the documentation of every public name; CONTRIBUTING says how to build it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from numpydoc.xref import DEFAULT_LINKS
from pygments.lexers.special import TextLexer
from sphinx import addnodes

import xcrater
from xcrater import errors

ROOT = Path(__file__).parents[1]

project, author, copyright = "xcrater", "The xcrater developers", "The xcrater developers"
version = release = xcrater.__version__
extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "sphinx_click"]
root_doc = "index"
exclude_patterns = ["**.ipynb_checkpoints"]

# Notebooks are run by the tests; the site shows what they found.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # docstrings say what arguments are
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# Types of arguments and results lead to those of this package; other projects' sites would have to be asked for theirs.
DEFAULT_LINKS.clear()
numpydoc_xref_param_type, numpydoc_xref_ignore = True, "all"
numpydoc_xref_aliases = {
    name: f".{name}"
    for name in (
        *("CraterDatabase", "Exclude", "Region", "CraterArrays", "RegionArrays", "Ragged", "Blocks", "CraterPlan"),
        *("Outlook", "PowerLaw", "Aggregation", "OrderStatistics", "OrderTable"),
        *(name for name, thing in vars(errors).items() if isinstance(thing, type)),
    )
}
add_module_names = False
smartquotes = False  # commands have options with two hyphens
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 100

# Single backticks name what they mean; the name leads to its documentation where it has one here.
default_role = "py:obj"
nitpicky = True

html_theme = "pydata_sphinx_theme"
html_title = "xcrater"
html_show_sourcelink = False
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in ("index", "site/hpc", "site/changelog", "site/contributing")}

LINKS = {
    "notebooks/": "",
    ".github/CONTRIBUTING.md": "site/contributing.md",
    "benchmarks/hpc/README.md": "site/hpc.md",
}
"""Where links of the README lead on the site; all others lead to files of the checkout, which can be downloaded."""

SHORT = {
    "da.craters.": "CratersAccessor.",
    "ds.craters.": "DatasetCratersAccessor.",
    "cdb.": "CraterDatabase.",
    "arrays.": "CraterArrays.",
}
"""What docstrings call the objects that users hold."""


def include_readme(app: Any, docname: str, source: list[str]) -> None:
    """Put the README on the front page, with links that lead from there."""
    if docname != "index":
        return
    app.env.note_dependency(str(ROOT / "README.md"))

    def lead(found: re.Match[str]) -> str:
        target = found[1]
        for prefix, there in LINKS.items():
            if target.startswith(prefix):
                return f"]({there}{target.removeprefix(prefix)})"
        return f"](../{target})"

    readme = re.sub(r"\]\((?!\w+:)([^)]+)\)", lead, (ROOT / "README.md").read_text())
    source[0] = source[0].replace("<!-- README -->", readme)


def find_name(app: Any, env: Any, node: Any, shown: Any) -> Any:
    """Resolve a name that docstrings shorten; names of arguments and of other packages stay as they are."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removeprefix("~")
    for short, full in SHORT.items():
        target = re.sub(rf"^{re.escape(short)}", full, target)
    domain = env.domains["py"]
    for wanted in (target, target.rpartition(".")[0]):  # attributes are described with their class
        found = [name for name in domain.objects if wanted and f".{name}".endswith(f".{wanted}")]
        if found:
            name = min(found, key=len)
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, shown)
    ours = "." in target and target.split(".")[0] in {"xcrater", *(full.rstrip(".") for full in SHORT.values())}
    return None if ours else shown


RETURNED = {"CratersAccessor", "DatasetCratersAccessor", "CraterArrays", "RegionArrays", "Ragged", "Blocks"}
RETURNED |= {"CraterPlan", "Outlook", "OrderTable"}
"""Classes whose objects are given by calls, and not made by users."""


def hide_arguments(app: Any, what: str, name: str, *_: Any) -> tuple[str, None] | None:
    """Show no arguments of classes that users do not call."""
    return ("", None) if what == "class" and name.rpartition(".")[2] in RETURNED else None


def show_as_typed(app: Any, doctree: Any) -> None:
    """Put the accessor as it is typed before the names of its methods."""
    typed = {full: short for short, full in SHORT.items() if short.endswith(".craters.")}
    for node in doctree.findall(addnodes.desc_addname):
        if node.astext() in typed:
            text = typed[node.astext()]
            node.clear()
            node += addnodes.desc_sig_name(text, text)


def setup(app: Any) -> None:
    """Connect the functions above, and take the contributors' picture of the layers for text."""
    app.add_lexer("layers", TextLexer)
    app.connect("autodoc-process-signature", hide_arguments)
    app.connect("doctree-read", show_as_typed)
    app.connect("source-read", include_readme)
    app.connect("missing-reference", find_name)
