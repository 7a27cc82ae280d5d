"""The README's examples print what it shows, its commands are those of CI, and its links work."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_examples_print_what_the_readme_shows():
    # A fence directly after the expected output would be taken for part of it.
    text = re.sub(r"^```\w*$", "", README, flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(text, {}, "README", "README.md", 0)
    assert len(examples.examples) > 15
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    said: list[str] = []
    runner.run(examples, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_ci_runs_the_commands_of_the_readme():
    """The README's test command, apart from the environment."""
    commands = re.findall(r"^python3 -m venv .*$", README, flags=re.MULTILINE)
    assert len(commands) == 2
    ci = (ROOT / ".ci" / "run").read_text()
    for part in ('pip install --quiet ".[test]"', "-m pytest\n"):
        assert part in ci
    assert '".[test]"' in commands[1]
    assert commands[1].endswith("-m pytest")


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target
