"""Readers of files that libraries unpack (Parquet, DocBin, `datasets`), and of BRAT's folders."""

import json
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from nerbert.errors import NerbertError
from nerbert.registry import FORMATS
from tests.fuzz.annotation_checks import Desk
from tests.fuzz.annotation_seeds import BRAT, JSON_SEEDS, drawn_documents, words_of, written
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_cases import mutated_json
from tests.fuzz.mutator import mutated

pytestmark = pytest.mark.fuzz
FOUND_BRAT: list[tuple[bytes, bytes, bytes, str]] = []
FOUND_PARQUET: list[bytes] = []
FOUND_DOCBIN: list[tuple[bytes, bool]] = []


def test_brat(desk: Desk, fuzz: Fuzz) -> None:
    texts, annotations = ([seed[side].encode() for seed in BRAT] for side in (0, 1))
    lists = mutated([b"a\t7\n", b'a\t"x"\nb/c\tnull\n', b""], words_of("brat"), edits=2)

    def check(case: tuple[bytes, bytes, bytes, str]) -> None:
        folder = desk.emptied() / "in"
        folder.mkdir()
        for name, content in zip(("a.txt", "a.ann", "nerbert.list"), case[:3], strict=True):
            (folder / name).write_bytes(content)
        if before := desk.read(folder, "brat"):
            desk.check_conversion(folder, "brat", before, case[3])
        assert {each.name for each in folder.iterdir()} == {"a.txt", "a.ann", "nerbert.list"}

    cases = st.tuples(
        mutated(texts, [b"\r\n"], edits=2), mutated(annotations, words_of("brat")), lists,
        st.sampled_from(["brat", "jsonl"]),
    )  # fmt: skip
    fuzz(cases, check, found=FOUND_BRAT, share=2)


def test_bytes_of_parquet(desk: Desk, fuzz: Fuzz) -> None:
    pytest.importorskip("pyarrow")
    cases = mutated(written("parquet"), [b"PAR1", b"\x15\x04", b"spans", b"text"])
    fuzz(cases, lambda case: desk.check(case, "parquet", to="jsonl"), found=FOUND_PARQUET)


def test_rows_of_parquet(desk: Desk, fuzz: Fuzz) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def check(case: tuple[bytes, str]) -> None:
        try:
            rows = [each for each in json.loads(case[0].removeprefix(b"\xef\xbb\xbf")) if isinstance(each, dict)]
            table = pa.Table.from_pylist(rows)
            pq.write_table(table, desk.emptied() / "a.parquet")
        except (pa.ArrowException, ValueError, OverflowError, RecursionError, TypeError):
            return
        desk.check((desk.folder / "a.parquet").read_bytes(), "parquet", to=case[1])

    seeds = [value for name in ("jsonl", "doccano", "gliner") for value in JSON_SEEDS[name]]
    arrays = mutated_json(seeds).filter(lambda data: data.startswith(b"["))
    fuzz(st.tuples(arrays, st.sampled_from(["parquet", "jsonl"])), check)


def test_docbin(desk: Desk, fuzz: Fuzz) -> None:
    pytest.importorskip("spacy")
    unpacked = tuple(zlib.decompress(each) for each in written("spacy"))
    cases = mutated(
        (*written("spacy"), *unpacked), [b"\xa7version", b"\xa5attrs", b"\xc4", b"\xc6\xff\xff\xff\xff", b"\x93"]
    )

    def check(case: tuple[bytes, bool]) -> None:
        desk.check(zlib.compress(case[0], 1) if case[1] else case[0], "spacy", to="spacy")

    fuzz(st.tuples(cases, st.booleans()), check, found=FOUND_DOCBIN)


@cache
def _folders() -> tuple[dict[str, bytes], ...]:
    """Return data sets of Hugging Face's `datasets`, as their files."""
    from tempfile import TemporaryDirectory

    found: list[dict[str, bytes]] = []
    with TemporaryDirectory() as folder:
        for number, some in enumerate(drawn_documents()[:6]):
            path = Path(folder) / f"{number}"
            try:
                FORMATS.find("datasets")().write(path, some)
            except NerbertError:
                continue
            found.append({each.name: each.read_bytes() for each in path.iterdir() if each.is_file()})
    return tuple(found)


def test_folders_of_datasets(desk: Desk, fuzz: Fuzz) -> None:
    pytest.importorskip("datasets")
    words = (
        b'"Value"',
        b'"dtype"',
        b'"_type"',
        b"ClassLabel",
        b"names",
        b"data-00000-of-00001.arrow",
        b"ARROW1",
        b"../",
        b"null",
    )

    @st.composite
    def cases(draw: st.DrawFn) -> Mapping[str, bytes]:
        files = dict(draw(st.sampled_from(_folders())))
        name = draw(st.sampled_from(sorted(files)))
        return files | {name: draw(mutated([files[name]], words))}

    def check(case: Mapping[str, Any]) -> None:
        folder = desk.emptied() / "in"
        folder.mkdir()
        for name, content in case.items():
            (folder / name).write_bytes(content)
        before = desk.read(folder, "datasets")
        assert {each.name for each in folder.iterdir()} == {*case}
        if before:
            desk.check_conversion(folder, "datasets", before, "jsonl")

    fuzz(cases(), check, share=0.3)
