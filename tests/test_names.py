"""Names: one class a name, few modules a name, a verb first in docstrings, no folder in front of a public name."""

import ast
import importlib
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import nerbert

PACKAGE = Path(nerbert.__file__).parent
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
NO_VERBS = frozenset(
    """a about after all an and any are as at because before besides both but by each every everything examples few for
    from half has hex how if in is it its last many more most much names no none nothing of on one only or other places
    since so some such that the their then there these they this those to true two under what when where whether which
    who whose why with without words""".split()
)
"""Words that begin a noun phrase or a clause."""


def test_no_class_name_is_used_twice() -> None:
    names = Counter(node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_name_is_used_more_than_three_times() -> None:
    names = Counter(path.stem for path in TREES if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 3 and name != "settings"] == []  # one a stage


def test_functions_docstrings_begin_with_a_verb() -> None:
    bad = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and not _is_property(node) and (text := ast.get_docstring(node)):
                first = re.split(r"[\s,.:;(-]", text, maxsplit=1)[0]
                if first.lower() in NO_VERBS or not first.isalpha() or not first[0].isupper() or _third_person(first):
                    bad.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {text.splitlines()[0]}")
    assert not bad, f"{len(bad)} docstrings begin with no verb:\n" + "\n".join(bad[:50])


def _is_property(node: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def _third_person(word: str) -> bool:
    return bool(re.fullmatch(r"\w+[^s]s", word)) and word.lower() not in {"focus", "canvas", "pass"}


def test_no_module_hides_a_public_name() -> None:
    for name in nerbert.__all__:
        assert not isinstance(getattr(nerbert, name), ModuleType), name
        assert not (PACKAGE / name).exists(), name
    importlib.import_module("nerbert.finetuning.finetune")
    assert callable(nerbert.finetune)
