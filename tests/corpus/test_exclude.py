import hashlib
import json
from pathlib import Path

import pytest

from nerbert.corpus.exclude import read_excluded
from nerbert.errors import InputError
from nerbert.registry import FORMATS
from tests.extending.toys.format_toy import Toy

WORDS = "the old whaler came home to the quiet harbour in may".split()
CONLL = "".join(f"{word}\tO\n" for word in WORDS)


@pytest.mark.parametrize("name", ["test.conll", "test.txt", "test"])
def test_conll_is_told_by_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("-DOCSTART-\tO\n\n" + CONLL)
    found = read_excluded([tmp_path / name], 8)
    assert "the old whaler came home to the quiet" in found.ngrams
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert found.files == ({"file": name, "sha256": digest, "ngrams": 4},)


def test_text_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" ".join(WORDS) + "\n" + "short\n")
    assert len(read_excluded([tmp_path / "a.txt"], 8).ngrams) == 4


def test_files_are_told_apart_in_the_report(tmp_path: Path) -> None:
    for folder in ("sets", "others"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.conll").write_text(CONLL)
        (tmp_path / folder / "README.md").write_text("no data")
    assert [each["file"] for each in read_excluded([tmp_path / "sets"], 8).files] == ["a.conll"]
    for paths in ([tmp_path / "sets", tmp_path / "others"], [tmp_path / "sets/a.conll", tmp_path / "others/a.conll"]):
        assert [each["file"] for each in read_excluded(paths, 8).files] == ["sets/a.conll", "others/a.conll"]


def test_a_file_that_excludes_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="no sentence of 8 words to exclude"):
        read_excluded([tmp_path / "a.txt"], 8)
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="can't be read as text in UTF-8"):
        read_excluded([tmp_path / "b.txt"], 8)
    with pytest.raises(InputError, match="no such file or folder"):
        read_excluded([tmp_path / "none"], 8)


@pytest.mark.parametrize(
    "line",
    [
        {"text": "The OLD whaler came home to the quiet café."}, {"id": 1, "tokens": [*WORDS[:7], "café"]},
        {"words": [*WORDS[:7], "café"]}, {"sentence": " ".join(WORDS[:7]) + " café"},
    ],
)  # fmt: skip
def test_json_lines_are_decoded(tmp_path: Path, line: dict[str, object]) -> None:
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps(line) + "\n\n")
    found = read_excluded([tmp_path], 8).ngrams
    assert found
    assert all(gram.endswith(("quiet", "café")) for gram in found)
    assert any(gram.endswith("café") for gram in found)


@pytest.mark.parametrize("line", ["{", "[1]", '{"label": "x"}', '{"text": 3}', '{"tokens": ["a", 1]}'])
def test_json_lines_without_a_text_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": " ".join(WORDS)}) + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"a\.jsonl:2: "):
        read_excluded([tmp_path / "a.jsonl"], 8)


@pytest.mark.parametrize("name", ["test.tsv", "sub/test.CONLL", "TEST.IOB"])
def test_in_folders_texts_are_found_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(CONLL)
    assert len(read_excluded([tmp_path], 8).ngrams) == 4


def test_a_folder_that_would_exclude_less_than_it_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("about")
    (tmp_path / "LICENSE.txt").write_text(" ".join(WORDS))
    with pytest.raises(InputError, match="holds no text to exclude"):
        read_excluded([tmp_path], 8)
    (tmp_path / "dev.conll").write_text(CONLL)
    assert len(read_excluded([tmp_path], 8).files) == 1
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"test\.parquet: not a text by its name; name the files"):
        read_excluded([tmp_path], 8)


def test_any_registered_format_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FORMATS, "_known", dict(FORMATS._known))
    (tmp_path / "a.toy").write_text(f"[{WORDS[0]}](x) {' '.join(WORDS[1:])}\n")
    with pytest.raises(InputError, match="not a text by its name"):
        read_excluded([tmp_path], 8)
    FORMATS.register("toy", Toy)
    found = read_excluded([tmp_path], 8)
    (tmp_path / "a.toy").write_text(f"{' '.join(WORDS)}\n")
    assert found.ngrams == read_excluded([tmp_path], 8).ngrams
