from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.formats.conll import example_of, read_conll, write_conll
from nerbert.formats.examples import read_examples
from nerbert.labels import example_tags

PLAIN = "-DOCSTART-\tO\n\nAda\tB-person\nLovelace\tI-person\nslept\tO\n\nParis\tB-city\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN + "\n\n\n",
        PLAIN.replace("\t", " "),
        PLAIN.replace("\t", "\tNN\tx\t"),
        PLAIN.replace("\n\n", "\n \t\n"),
    ],
    ids=["plain", "crlf", "bom", "no-last-newline", "blank-end", "spaces", "columns", "blank-with-space"],
)
def test_every_dress_of_the_same_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.conll").write_bytes(content.encode())
    first, second = read_conll(tmp_path / "a.conll")
    assert first.text == "Ada Lovelace slept"
    assert first.words == ((0, 3), (4, 12), (13, 18))
    assert [(s.start, s.end, s.type, s.text) for s in first.spans] == [(0, 12, "person", "Ada Lovelace")]
    assert [(s.start, s.end, s.type) for s in second.spans] == [(0, 5, "city")]


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("a\tO\nb\n", 2, "broken line 'b': expected a token"),
        ("a\tO\n\tO\n", 2, "broken line"),
        ("a\t\n", 1, "broken line"),
        ("a\tO\nb\tQ-PER\n", 2, "tag 'Q-PER': must be O, B-TYPE or I-TYPE"),
        ("a\tO\n\nb\tS-x\n", 3, "tag 'S-x'"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, content: str, place: int, message: str) -> None:
    (tmp_path / "a.conll").write_text(content)
    with pytest.raises(InputError, match=f"a.conll:{place}: {message}"):
        list(read_conll(tmp_path / "a.conll"))


def test_other_encodings_empty_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "latin.conll").write_bytes(b"a\tO\ncaf\xe9\tO\n")
    with pytest.raises(InputError, match=r"latin\.conll:2: not UTF-8 at byte 3"):
        list(read_conll(tmp_path / "latin.conll"))
    (tmp_path / "empty.conll").write_text("\n\n")
    with pytest.raises(InputError, match="holds no sentence"):
        read_examples(tmp_path / "empty.conll")
    with pytest.raises(InputError, match="can't be read: No such file"):
        read_examples(tmp_path / "none.conll")


def test_tokens_keep_no_break_spaces(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("10\u00a0km\tB-x\n\u200d\tO\n")
    (example,) = read_conll(tmp_path / "a.conll")
    assert example.text == "10\u00a0km \u200d"
    assert example_tags(example) == ["B-x", "O"]


def test_round_trip(tmp_path: Path) -> None:
    examples = [example_of(["Ada", "met", "Bob"], ["B-x", "O", "B-x"]), example_of(["x"], ["O"])]
    write_conll(tmp_path / "a.conll", examples)
    assert list(read_conll(tmp_path / "a.conll")) == examples


@pytest.mark.slow
def test_real_data_reads_whole(shared: Path) -> None:
    """Counts stated in the data's own READMEs."""
    examples = read_examples(shared / "data/ner/crossner_ai/train.conll")
    assert (len(examples), sum(len(e.words) for e in examples), sum(len(e.spans) for e in examples)) == (100, 3782, 532)
    files = sorted((shared / "data/ner").rglob("*.conll"))
    assert len(files) > 50
    for path in files:
        assert read_examples(path)


def test_sample_domain(sample: Path) -> None:
    for name, sentences in (("train", 110), ("dev", 50), ("test", 150)):
        examples = read_examples(sample / "domain" / f"{name}.conll")
        assert len(examples) == sentences
        assert len({span.type for example in examples for span in example.spans}) == 8
