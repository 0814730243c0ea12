"""Hostile settings: files of settings, stages, suites and prompts, `--set`, command lines and environment variables."""

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

import nerbert
import nerbert_annotate
import nerbert_bench
from nerbert.cache import cache_place
from nerbert.cli import PACKAGES, add_commands, app, main
from nerbert.corpus.settings import CorpusSettings
from nerbert.distillation.settings import DistilSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.encoder.stages import read_stages
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.training.sections import load_settings, make_settings
from nerbert_annotate.settings import AnnotateSettings, load_key, load_prompt
from nerbert_bench.suite import parse_encoders, read_suite
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import PIECES, mutated
from tests.fuzz.properties import answer, check_message

pytestmark = pytest.mark.fuzz
PACKAGE = Path(nerbert.__file__).parent
PROMPTS = Path(nerbert_annotate.__file__).parent / "prompts"
SUITES = Path(nerbert_bench.__file__).parent / "suites"
add_commands(*PACKAGES)
KINDS = (CorpusSettings, PretrainSettings, FinetuneSettings, DistilSettings)
WORDS = (
    b"=",
    b"==",
    b"'''",
    b'"""',
    b"[[stages]]",
    b"[tagging]",
    b"[systems.x]",
    b"[[targets]]",
    b"seed",
    b"objective",
    b"0xffffffffffffffffffff",
    b"0x" + b"f" * 4000,
    b"1979-05-27T07:32:00Z",
    b"inf",
    b"nan",
    b"1_000",
    b"#",
    b".",
    b"a.b.c = 1\n",
    b"x = {y = {z = 1}}\n",
    b"\n[a]\n[a]\n",
    b'"\\ud800"',
    b'"\\U0010ffff"',
    b"os:system",
    b"{text}",
)
"""Pieces of TOML."""


def as_prompt(path: Path) -> object:
    return load_prompt(str(path)).fill("a {text} b")


def as_stages(path: Path) -> object:
    return read_stages(path, (), path.parent)


@pytest.mark.parametrize(
    ("folder", "readers"),
    [
        ("configs", [*(partial(load_settings, kind) for kind in KINDS), as_stages]),
        (SUITES, [read_suite]),
        (PROMPTS, [as_prompt]),
    ],
)
def test_any_file(fuzz: Fuzz, tmp_path: Path, folder: str | Path, readers: Sequence[Callable[[Path], object]]) -> None:
    """A file is read, or refused with a line that names it or a setting."""
    path = tmp_path / "a file.toml"

    def check(case: tuple[bytes, int]) -> None:
        data, number = case
        path.write_bytes(data)
        answer(lambda: readers[number % len(readers)](path), naming=(str(path), "setting", "stage"))
        assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {path.name: data}

    files = mutated([one.read_bytes() for one in sorted((PACKAGE / folder).glob("*.toml"))], WORDS, edits=3)
    fuzz(st.tuples(files, st.integers(0, 7)), check, found=FILES)


FILES: list[tuple[bytes, int]] = [(b"seed = 0x" + b"f" * 4000, 0), (b"targets = 0x" + b"f" * 4000, 0)]
TEXTS = st.one_of(
    st.sampled_from([each.decode("utf-8", "surrogateescape") for each in (*PIECES, *WORDS)]),
    st.sampled_from(
        [
            "",
            " ",
            "-",
            "--",
            "-1",
            "--=",
            "=",
            "@x",
            "$HOME",
            "%s",
            "{}",
            "*",
            "~",
            "s3://x",
            "http://[",
            "http://a:99999/",
            "file:///x",
            "1/2",
            "NAME=x",
            "\ud800",
            "\0",
            "\u2028",
        ]
    ),
    st.text(max_size=8),
)
"""Values that no setting has."""
NAMES = sorted({name for kind in KINDS for name in kind.__dataclass_fields__} | {"tagging.x", "mlm.", ".", "a.b.c"})


def test_any_change(fuzz: Fuzz) -> None:
    def check(case: tuple[int, list[tuple[str, str, str]]]) -> None:
        kind, changes = case
        given = [f"{name}{equals}{value}" for name, equals, value in changes]
        answer(lambda: load_settings(KINDS[kind], None, given), naming=("setting", "--set"))

    change = st.tuples(st.sampled_from(NAMES) | TEXTS, st.sampled_from(["=", " = ", ""]), TEXTS)
    fuzz(st.tuples(st.integers(0, len(KINDS) - 1), st.lists(change, max_size=3)), check, found=CHANGES)


CHANGES: list[tuple[int, list[tuple[str, str, str]]]] = [
    (0, [("seed", "=", "0x" + "f" * 4000)]),
    (2, [("tagging", "=", "[0x" + "f" * 4000 + "]")]),
]

SINGLE = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=3)
SEVERAL = st.lists(SINGLE, max_size=3) | st.dictionaries(TEXTS, SINGLE, max_size=2)
VALUES = SINGLE | SEVERAL | st.lists(SEVERAL, max_size=2)


def test_any_value_from_python(fuzz: Fuzz) -> None:
    def check(case: tuple[int, dict[str, Any]]) -> None:
        answer(lambda: make_settings(KINDS[case[0]], case[1]), naming=("setting",))

    values = st.dictionaries(st.sampled_from(NAMES) | TEXTS, VALUES, max_size=3)
    fuzz(st.tuples(st.integers(0, len(KINDS) - 1), values), check)


def test_any_model_to_ask(fuzz: Fuzz) -> None:
    def check(case: dict[str, Any]) -> None:
        given = {"endpoint": "http://localhost/v1", "model": "m"} | case
        if settings := answer(lambda: make_settings(AnnotateSettings, given), naming=("setting",)):
            assert settings.longest_answer >= 0

    address = st.tuples(st.sampled_from(["http://", "https://", "ftp://", "//", ""]), TEXTS).map("".join)
    names = st.sampled_from(sorted(AnnotateSettings.__dataclass_fields__))
    more = mutated([b'{"max_tokens": null}', b'{"a": [1, {}]}']).map(lambda data: data.decode("utf-8", "replace"))
    fuzz(st.dictionaries(names, VALUES | address | more, max_size=3), check)


def test_any_encoders(fuzz: Fuzz) -> None:
    fuzz(st.lists(TEXTS, max_size=3), lambda case: answer(lambda: parse_encoders(case), naming=("--encoder",)))


def test_any_key(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(case: str) -> None:
        value = os.fsdecode(os.fsencode(case.encode("utf-8", "surrogateescape").replace(b"\0", b"")))
        monkeypatch.setenv("A_KEY", value)
        answer(lambda: load_key("A_KEY"), naming=("A_KEY",))

    fuzz(st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["\udcff"]), check)


def test_any_cache(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(case: tuple[str, bool]) -> None:
        name, of_user = case
        if of_user and not set(name) & set("\0\ud800"):
            monkeypatch.setenv("XDG_CACHE_HOME", name)
        answer(lambda: cache_place("" if of_user else name, "answers", "x"), naming=("cache",))

    fuzz(st.tuples(TEXTS | TEXTS.map("~{}".format), st.booleans()), check, found=[("~\ud800", False)])


def options() -> list[str]:
    """All commands and options."""
    script = app.generate_completion(shell="bash")
    return sorted(
        {
            *re.findall(r"--[a-z][a-z-]+", script),
            *(name for name in app if name.isalpha()),
            "-o",
            "-h",
            "list",
            "check",
            "convert",
            "build",
            "inspect",
            "fetch",
        }
    )


def test_any_command_line(
    fuzz: Fuzz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def parsed(arguments: Sequence[str]) -> None:
        app.parse_args(arguments, exit_on_error=False, print_error=False)

    def check(case: list[str]) -> None:
        code = 0
        try:
            main(case)
        except SystemExit as stop:
            code = int(stop.code or 0)
        told = capsys.readouterr().err
        assert code in (0, 1, 2)
        if code:
            assert told.startswith("nerbert: ")
            assert told.endswith("\n")
            check_message(told[:-1].removeprefix("nerbert: "))
        assert not [*tmp_path.iterdir()]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nerbert.cli._call", parsed)
    known = st.sampled_from(options())
    word = known | TEXTS | st.tuples(known, TEXTS).map("=".join)
    command = st.sampled_from([name for name in app if name.isalpha()])
    fuzz(st.builds(lambda first, rest: [first, *rest], command | TEXTS, st.lists(word, max_size=5)), check)
