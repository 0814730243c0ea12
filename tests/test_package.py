"""What an installed package names is there, in the package or behind a link to the project; and how it names things."""

import ast
import re
import tokenize
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module, reload
from pathlib import Path

import pytest
from cyclopts import App
from rich.console import Console

import nerbert
from nerbert import about
from nerbert.cli import PACKAGES, add_commands, app, main
from nerbert.config import read_toml
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, MissingExtra
from nerbert.model.folder import MODEL_KINDS, ModelFolder
from nerbert.registry import IN_PACKAGES
from nerbert.training.objective import OBJECTIVES
from nerbert.training.sections import SOURCES, make_settings
from nerbert_bench.suite import read_suite
from tests.raised import raises

ROOT = Path(__file__).parent.parent
PACKAGE = Path(nerbert.__file__).parent
CODE = (PACKAGE, *sorted(ROOT.glob("packages/*/nerbert_*")))
"""The folders of code: the core's, and those of the packages beside it."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
add_commands(*PACKAGES)
FILES = ("configs", "suites")
NAMED = re.compile(r"(?<![\w/.-])(?:docs|configs|suites|tests|benchmarks|sources|nerbert)/[\w./*-]*\w")
"""Paths as one writes them in the project's root; addresses have something before."""


def missing(text: str) -> list[str]:
    return [name for name in NAMED.findall(text) if not any((folder / name).exists() for folder in CODE)]


def commands(group: App, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name in group:
        if not name.startswith("-"):
            yield from commands(group[name], (*words, name))


@pytest.mark.parametrize("words", list(commands(app)), ids=" ".join)
def test_help_names_only_what_is_there(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_console", Console(width=1000))  # the usual one keeps the width that it was made with
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    shown = capsys.readouterr().out
    assert "Usage: " in shown
    assert not missing(shown)
    for address in re.findall(r"https://github\.com/[\w./-]*\w", shown):
        assert address.startswith(f"{about.DOCS}/")
        assert (ROOT / "docs" / address.removeprefix(f"{about.DOCS}/")).is_file(), address


def test_messages_and_cards_name_only_what_is_there() -> None:
    templates = (path for folder in CODE for path in folder.glob("render/templates/*.j2"))
    texts = {path: path.read_text(encoding="utf-8") for path in templates}
    texts |= {path: "\n".join(strings(path)) for path in TREES}
    for path, text in texts.items():
        plain = re.sub(r">docs/results<", "", text)  # without a link's words
        assert not missing(plain), path
        for page in re.findall(r"\{+ ?(?:docs\|plain|docs|DOCS) ?\}+/([\w./-]*\w)", text):
            assert (ROOT / "docs" / page).exists(), (path, page)


def strings(path: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings and no comments on names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_metadata_names_the_projects_address() -> None:
    urls = PROJECT["urls"]
    assert urls["Homepage"] == about.HOMEPAGE
    assert {"Documentation", "Issues", "Changelog"} <= set(urls)
    assert all(url.startswith(about.HOMEPAGE) for url in urls.values())
    for name in ("Documentation", "Changelog"):
        assert (ROOT / urls[name].removeprefix(f"{about.HOMEPAGE}/blob/main/")).is_file()


def test_packages_go_with_the_core() -> None:
    """A package has the core's version, needs exactly that, and is named by an extra; the core knows what it offers."""
    offered, version = defaultdict[str, dict[str, str]](dict), about.__version__
    for path in ROOT.glob("packages/*/pyproject.toml"):
        package = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        name = package["name"]
        assert (path.parent.name, package["version"]) == (name, version)
        assert re.fullmatch(rf"nerbert(\[[\w,]+\])?=={version}", package["dependencies"][0])
        assert PROJECT["optional-dependencies"][name.removeprefix("nerbert-")] == [f"{name}=={version}"]
        folder = path.parent / name.replace("-", "_")
        files = [f"{path.parent.name}/{path.name}" for kind in FILES for path in folder.glob(f"{kind}/*.toml")]
        for group, points in package["entry-points"].items():
            offered[group] |= dict.fromkeys(files if group == "nerbert.files" else points, name)
    assert offered == IN_PACKAGES


@pytest.mark.parametrize(
    "ask",
    [
        lambda _: make_settings(PretrainSettings, {"objective": "typing"}),
        lambda _: make_settings(PretrainSettings, {"cdlm": {"mode": "target"}}),
        lambda _: make_settings(PretrainSettings, {"gazetteers": {"files": ["names.txt"]}}),
        lambda folder: ModelFolder.open(folder).check(),
    ],
    ids=["objective", "section", "source", "folder"],
)
def test_a_missing_package_is_named_for_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Path], object]
) -> None:
    for registry in (OBJECTIVES, SOURCES, MODEL_KINDS):
        monkeypatch.setattr(registry, "_entry_points", {})
    (tmp_path / "cdlm.json").write_text("{}")
    with raises(MissingExtra, words="is in the package nerbert-papers, which isn't installed: pip install nerbert-"):
        ask(tmp_path)


@pytest.mark.parametrize("name", [folder.name for folder in CODE[1:]])
def test_a_package_of_another_version_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = import_module(name)
    monkeypatch.setattr("nerbert.process.installed_version", lambda _: "9.9")
    with raises(MissingExtra, words=f"{name.replace('_', '-')} 9.9 doesn't fit nerbert {about.__version__}: pip"):
        reload(package)


def test_configs_and_suites_of_the_package_are_found_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_suite(Path("suites/north_star.toml")).name == "north_star"
    assert "corpus" in read_toml(Path("configs/small.toml"))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "small.toml").write_text("x = 1")
    assert read_toml(Path("configs/small.toml")) == {"x": 1}, "one's own comes first"
    with pytest.raises(InputError, match=r"^configs/smal\.toml: can't be read"):
        read_toml(Path("configs/smal.toml"))
    with pytest.raises(InputError, match="can't be read"):
        read_toml(tmp_path / "suites" / "north_star.toml")


def test_packages_offer_configs_and_a_missing_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "knots-1.0.dist-info").mkdir()
    (tmp_path / "knots-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: knots\nVersion: 1.0\n")
    (tmp_path / "knots-1.0.dist-info" / "entry_points.txt").write_text("[nerbert.files]\nknots = knots_module\n")
    (tmp_path / "knots_module" / "configs").mkdir(parents=True)
    (tmp_path / "knots_module" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(IN_PACKAGES, "nerbert.files", {"configs/knot.toml": "nerbert-knots"})
    with raises(MissingExtra, words="configs/knot.toml is in the package nerbert-knots, which isn't installed: pip"):
        read_toml(Path("configs/knot.toml"))
    (tmp_path / "knots_module" / "configs" / "knot.toml").write_text("x = 1")
    assert read_toml(Path("configs/knot.toml")) == {"x": 1}


def test_help_ends_lines_where_the_terminal_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    lines = capsys.readouterr().out.splitlines()
    (title,) = [place for place, line in enumerate(lines) if "How annotated data is read" in line]
    options = lines[title + 1 : -1]
    assert all("--" in line for line in options if "\u2500" not in line), "an option a line"
    assert not any("--set" in line for line in options)


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for folder in CODE for path in sorted(folder.rglob("*.py"))}


def test_no_class_name_is_used_twice() -> None:
    names = Counter(node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_name_is_used_more_than_three_times() -> None:
    own = {"__init__", "cli", "settings"}  # one a package or stage
    names = Counter(path.stem for path in TREES)
    assert [name for name, count in names.items() if count > 3 and name not in own] == []


NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def docstring_starts(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """The line and the column at which each docstring of a module begins."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node) is not None:
            yield node.body[0].lineno, node.body[0].col_offset


def count_tokens(path: Path) -> int:
    """The tokens of a module, without comments and docstrings: packing lines doesn't lower their number."""
    docstrings = set(docstring_starts(TREES[path]))
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in NO_CODE]
    return sum(token.type != tokenize.STRING or token.start not in docstrings for token in tokens)


def test_the_code_stays_small() -> None:
    """The core apart, and with the packages beside it."""
    counts = {path: count_tokens(path) for path in TREES}
    core = sum(count for path, count in counts.items() if path.is_relative_to(PACKAGE))
    tokens = sum(counts.values())
    assert core <= 330_000, f"{core:,} tokens of the core: what comes in, something else pays for"
    assert tokens <= 395_000, f"{tokens:,} tokens of code: what comes in, something else pays for"


BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
    ast.IfExp,
    ast.comprehension,
)
MOST_BRANCHES, MANY_BRANCHES, MOST_WITH_MANY = 15, 10, 0.07


def count_branches(function: ast.AST) -> int:
    """The ways through a function: one, and one for each branch of a statement or an expression."""
    nodes = list(ast.walk(function))
    operands = sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))
    conditions = sum(len(node.ifs) for node in nodes if isinstance(node, ast.comprehension))
    return 1 + operands + conditions + sum(isinstance(node, BRANCHES) for node in nodes)


def test_no_function_has_many_branches() -> None:
    nodes = [node for tree in TREES.values() for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    counts = [(function.name, count_branches(function)) for function in functions]
    assert [(name, count) for name, count in counts if count > MOST_BRANCHES] == []
    many = [name for name, count in counts if count > MANY_BRANCHES]
    assert len(many) <= MOST_WITH_MANY * len(counts), f"{len(many)} of {len(counts)} functions have many branches"


@pytest.mark.parametrize("folder", [PACKAGE, ROOT / "packages", ROOT / "tests"])
def test_the_formatter_breaks_all_lines(folder: Path) -> None:
    directive = "# fmt: " + "skip"
    assert [path for path in folder.rglob("*.py") if directive in path.read_text(encoding="utf-8")] == []


def test_the_documentation_stays_short() -> None:
    generated = {"commands.md", "languages.md", "settings.md"}
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.name not in generated]
    words = sum(len(path.read_text(encoding="utf-8").split()) for path in pages)
    assert words <= 65_000, f"{words:,} words: what comes in, something else pays for"
