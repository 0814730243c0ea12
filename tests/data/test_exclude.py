import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest

from nerbert.corpus.filters import ExcludedTexts
from nerbert.data.exclude import read_excluded
from nerbert.errors import InputError
from nerbert.formats.format import FORMATS
from nerbert.records import Document, Reason
from tests.raised import raises

WORDS = "the old whaler came home to the quiet harbour in may".split()
CONLL = "".join(f"{word}\tO\n" for word in WORDS)


@pytest.mark.parametrize("name", ["test.conll", "test.txt", "test"])
def test_conll_is_told_by_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("-DOCSTART-\tO\n\n" + CONLL)
    found = read_excluded([tmp_path / name], 8)
    assert "the old whaler came home to the quiet" in found.ngrams
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    counts = {"by_ngram": 1, "by_equality": 0, "not_judged": 0, "not_judged_share": 0.0}
    assert found.files == ({"file": name, "sha256": digest, "ngrams": 4} | counts,)


def test_files_are_told_apart_in_the_report(tmp_path: Path) -> None:
    for folder in ("sets", "others"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.conll").write_text(CONLL)
        (tmp_path / folder / "README.md").write_text("no data")
    assert [each["file"] for each in read_excluded([tmp_path / "sets"], 8).files] == ["a.conll"]
    for paths in ([tmp_path / "sets", tmp_path / "others"], [tmp_path / "sets/a.conll", tmp_path / "others/a.conll"]):
        assert [each["file"] for each in read_excluded(paths, 8).files] == ["sets/a.conll", "others/a.conll"]


@pytest.mark.parametrize(
    ("content", "length", "words"),
    [
        (b'["Ada", {"entities": []}]', 8, "spaCy's tuples (save them as DocBin"),
        (b"one\ntwo\n", 8, "no sentence of 4 or more words to exclude"),
        (b"one\ntwo\n", 2, "no sentence of 2 or more words to exclude"),
        (b"\xff\xfe\x00", 8, "seems to be text in UTF-16"),
        (gzip.compress(CONLL.encode(), mtime=0), 8, "compressed with gzip (unpack it first)"),
        (None, 8, "no such file or folder"),
    ],
)
def test_messages(tmp_path: Path, content: bytes | None, length: int, words: str) -> None:
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with raises(InputError, words):
        read_excluded([tmp_path / "a.txt"], length)


def excludes(tmp_path: Path, text: str, sentence: str, length: int = 8) -> bool:
    (tmp_path / "a.txt").write_text(f"{text}\n{' '.join(WORDS)}\n")
    step = ExcludedTexts(read_excluded([tmp_path / "a.txt"], length).ngrams, length)
    return step.apply(pa.RecordBatch.from_pydict({"text": [sentence]}))[1] == [Reason.EXCLUDED_TEXT]


SEVEN = "Whales sleep in the deep blue sea"


@pytest.mark.parametrize(
    ("text", "sentence", "excluded"),
    [
        ("SOCCER - WHALES BEAT HARBOUR .", "Soccer: “Whales” beat harbour!", True),
        ("Café at the QUAY", "café at the quay", True),
        (SEVEN, f"{SEVEN}.", True),
        (SEVEN, f"{SEVEN} today", False),
        (SEVEN, f"We know that {SEVEN.lower()} of ours", False),
        (f"{SEVEN} today", f"{SEVEN} today", True),
        (f"{SEVEN} today", SEVEN, False),
        ("Whales beat the harbour", "Whales beat the", False),
        ("Whales beat the harbour", "Whales beat harbour the", False),
        ("London 1996 08", "LONDON 1996-08", False),
        ("LONDON 1996-08-27", "London 1996-08-27", True),
    ],
)
def test_a_short_text_excludes_only_what_equals_it(tmp_path: Path, text: str, sentence: str, excluded: bool) -> None:
    assert excludes(tmp_path, text, sentence) is excluded


@pytest.mark.parametrize(
    ("length", "equal", "within"),
    [(2, True, True), (3, True, True), (4, True, True), (5, True, False), (12, True, False)],
)
def test_a_text_is_compared_as_a_whole_below_the_length_of_the_runs(
    tmp_path: Path, length: int, equal: bool, within: bool
) -> None:
    assert excludes(tmp_path, "whales beat the harbour", "Whales beat the harbour.", length) is equal
    assert excludes(tmp_path, "whales beat the harbour", "So whales beat the harbour.", length) is within
    assert excludes(tmp_path, "whales beat", "Whales beat.", length) is (length == 2)


def test_the_manifest_counts_how_sentences_are_judged(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{' '.join(WORDS)}\n\n{SEVEN}\n{SEVEN}\n1 - 0\n...\nLondon 27 May\n")
    (tmp_path / "b.txt").write_text("Whales beat the harbour\nno\n")
    found = read_excluded([tmp_path], 8)
    kinds = ("ngrams", "by_ngram", "by_equality", "not_judged", "not_judged_share")
    assert [tuple(each[kind] for kind in kinds) for each in found.files] == [(5, 1, 2, 3, 0.5), (1, 0, 1, 1, 0.5)]
    assert found.judged == {"by_ngram": 1, "by_equality": 3, "not_judged": 4}


@pytest.mark.parametrize(
    "line",
    [
        {"text": "The OLD whaler came home to the quiet café."},
        {"id": 1, "tokens": [*WORDS[:7], "café"]},
        {"words": [*WORDS[:7], "café"]},
        {"sentence": " ".join(WORDS[:7]) + " café"},
    ],
)
def test_json_lines_are_decoded(tmp_path: Path, line: dict[str, object]) -> None:
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps(line) + "\n\n")
    found = read_excluded([tmp_path], 8).ngrams
    assert found
    assert all(gram.endswith(("quiet", "café")) for gram in found)
    assert any(gram.endswith("café") for gram in found)


@pytest.mark.parametrize("line", ["{", "[1]", '{"label": "x"}', '{"text": 3}', '{"tokens": ["a", 1]}'])
def test_json_lines_without_a_text_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": " ".join(WORDS)}) + "\n" + line + "\n")
    with raises(InputError, path=tmp_path / "a.jsonl", line=2):
        read_excluded([tmp_path / "a.jsonl"], 8)


def test_in_folders_texts_are_found_whatever_they_are_called_and_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("about")
    (tmp_path / "LICENSE.txt").write_text(" ".join(WORDS))
    with raises(InputError, "holds no text to exclude"):
        read_excluded([tmp_path], 8)
    for number, name in enumerate(("test.tsv", "sub/test.CONLL", "TEST.IOB", "train.conll"), 1):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(CONLL)
        assert len(read_excluded([tmp_path], 8).files) == number
    (tmp_path / "manifest.json").write_text('{\n"kind": "sample"\n}')  # of a data folder
    assert len(read_excluded([tmp_path], 8).files) == number
    (tmp_path / "test.pdf").write_bytes(b"%PDF")
    with raises(InputError, "test.pdf: not a text by its name; name the files"):
        read_excluded([tmp_path], 8)


@pytest.mark.extras
def test_the_splits_of_a_folder_are_read_in_their_own_format(tmp_path: Path) -> None:
    write = FORMATS.find("datasets")().write
    for split in ("train", "test"):
        (tmp_path / "set").mkdir(exist_ok=True)
        write(tmp_path / "set" / split, [Document(f"{split} {' '.join(WORDS)}", ())])
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = read_excluded([tmp_path / "set"], 8)
    assert [each["file"] for each in found.files] == ["set/test", "set/train"]
    assert {"train the old whaler came home to the", "test the old whaler came home to the"} <= found.ngrams
