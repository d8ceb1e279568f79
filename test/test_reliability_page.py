"""docs/reliability.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.compile(r"`(test/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_the_page_names_is_there():
    found = NAMED.findall((ROOT / "docs/reliability.md").read_text(encoding="utf-8"))
    assert len(found) > 50
    for file, name in found:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in tests, f"{file}::{name}"
