import json
from pathlib import Path

import pytest

from nerbert.data.catalogue import open_data
from nerbert.data.splits import read_data
from nerbert.errors import InputError
from nerbert.formats.conll import example_of, scheme_of
from nerbert.formats.documents import CheckReading, Reading
from nerbert.records import Repair
from nerbert_bench.datasets.check import Findings, Repeats, check_data
from nerbert_bench.datasets.mentions import Mentions
from nerbert_bench.render.findings import advice_on, print_findings
from tests.data.conftest import TRAIN, Make
from tests.raised import raises
from tests.tagger.jobs.rows import write_rows


def test_lines_are_those_of_the_reader(tmp_path: Path) -> None:
    """A byte order mark, CRLF, spaces, middle columns, document starts and other line ends don't put it out."""
    file = tmp_path / "some.conll"
    lines = ("\ufeff-DOCSTART- -X- O O", "", "Aske NNP I-NP I-ORG ", "a\u2028b\x0bc\tO", " \t", "Holm x I-PER")
    file.write_bytes("\r\n".join(lines).encode())
    scheme = scheme_of(file)
    assert (scheme.name, scheme.broken, scheme.first_broken) == ("IO or IOB1", 2, 3)
    assert open_data(str(file)).train[0].spans[0].type == "ORG"


def test_other_schemes_are_read_and_named(make: Make) -> None:
    folder = make(train="a\tB-x\nb\tE-x\nc\tS-x\nd\tO\ne\tO\n")
    for name, root in ((str(folder), None), ("ships", folder.parent), (str(folder / "train.conll"), None)):
        facts = check_data(name, root).splits["train"]
        assert (facts.scheme.name, facts.scheme.broken, facts.entities) == ("BIOES", 0, 2)
    told = advised(check_data(str(make(train="a\tB-x\nb\tO\nc\tE-x\nd\tS-x\n"))))["broken_tags"]
    assert "line 1 (its entity has no end), line 3 (continues no entity)" in told


def test_what_is_in_a_data_set(make: Make) -> None:
    long = "word\tO\n" * 257 + "\n"
    test = TRAIN.replace("Inga\tB-ship", "Inga\tB-person") + "Oslo\tI-place\n\nOslo\tI-place\n\n" + long
    found = check_data(str(make(train=TRAIN, dev=TRAIN, test=test)))
    facts = found.splits["test"]
    assert (facts.sentences, facts.tokens, facts.entities) == (6, 3 + 3 + 8 + 2 + 257, 5)
    assert (facts.repeated, facts.long, facts.scheme.broken) == (1, 1, 2)
    assert facts.types == {"person": 2, "place": 2, "ship": 1}
    assert found.lacking == {"test": {"place": 2}}
    assert found.rare == {"ship": 2, "person": 1}
    assert found.duplicates == {"train/test": 1, "train/dev": 1, "dev/test": 1}
    assert found.conflicts == 1
    assert found.conflict_examples[0].places == [("train", 2), ("dev", 2), ("test", 2)]
    assert found.schemes == {"train": "IOB2", "dev": "IOB2", "test": "mixed"}
    assert json.loads(json.dumps(found.as_json()))["splits"]["test"]["scheme"]["broken"] == 2


def test_a_test_split_alone_can_be_checked(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(test=TRAIN + "Inga\tB-ship\n\nInga\tO\n")
    found = check_data(str(folder))
    assert (list(found.splits), found.lacking, found.rare, found.duplicates) == (["test"], {}, {}, {})
    assert (found.splits["test"].entities, found.conflicts) == (4, 1)
    print_findings(found, as_json=False)
    told = capsys.readouterr().out
    assert "equal sentences with different labels: 1, " in told
    assert "train" not in told.replace(str(folder), "")


def test_equal_sentences_with_equal_tags_are_no_conflict(make: Make) -> None:
    found = check_data(str(make(train=TRAIN + TRAIN)))
    assert (found.conflicts, found.splits["train"].repeated, found.duplicates) == (0, 3, {})


def row(text: str, *mentions: tuple[str, str]) -> dict[str, object]:
    """A text in which each mention, at its first place, has a type."""
    places = [(text.index(each), each, type_) for each, type_ in mentions]
    return {"text": text, "spans": [{"start": at, "end": at + len(each), "type": type_} for at, each, type_ in places]}


def advised(found: Findings) -> dict[str, str]:
    return {line.kind: line.text for line in advice_on(found)}


def test_slips_are_named_in_a_file_of_any_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "letters.jsonl"
    write_rows(
        file,
        [
            row("She saw New York.", ("New York", "place")),
            row("Old York and New York.", ("New York", "place"), ("Old York", "place")),
            row("York was far from New York."),
            row("new york and New Yorker Ann.", ("Ann", "person")),
            row("Ann came to York.", ("Ann", "Persons")),
            row("No Ann at York.", ("York", "place")),
            row("A York.", ("York", "place")),
        ],
    )
    found = check_data(str(file))
    assert [(each.text, each.labelled, each.unlabelled, each.places) for each in found.slip_examples] == [
        ("Ann", 2, 1, ("letters.jsonl:6",)),
        ("New York", 2, 1, ("letters.jsonl:3",)),
        ("York", 2, 2, ("letters.jsonl:3", "letters.jsonl:5")),
    ], "the longest mention, whole words, in the same case, not inside of another"
    (several,) = found.many_types_examples
    assert (several.types, several.places) == (
        {"person": 1, "Persons": 1},
        {"person": "letters.jsonl:4", "Persons": "letters.jsonl:5"},
    )
    assert found.similar_types == (("Persons", "person"),)
    told = advised(found)
    assert "“York” (place 2; unlabelled 2: letters.jsonl:3, letters.jsonl:5)" in told["slips"]
    assert "“Ann” (person 1: letters.jsonl:4, Persons 1: letters.jsonl:5)" in told["many_types"]
    assert "Persons and person. They are learnt as different types; use one name" in told["similar_types"]
    assert "--split 80/10/10" in told["splits"]
    print_findings(found, as_json=True)
    assert [line["text"] for line in json.loads(capsys.readouterr().out)["advice"]] == list(told.values())


def test_ordinary_words_are_no_slips() -> None:
    """May is a name twice, and a word 21 times."""
    sentences = [example_of(["May", "came"], ["B-person", "O"])] * 2 + [example_of(["May", "I"], ["O", "O"])] * 20
    for more, slips in (([], 1), (sentences[-1:], 0)):
        mentions = Mentions()
        for each in sentences + more:
            mentions.count(each)
        for each in sentences + more:
            mentions.look(each, "x")
        assert len(mentions.slips()) == slips


def test_of_too_many_mentions_the_frequent_are_compared() -> None:
    mentions = Mentions(most=4)
    frequent = [example_of(["Ann", "Lee"], ["B-x", "I-x"])] * 2
    for each in (*frequent, *(example_of([f"n{number}"], ["B-x"]) for number in range(20)), *frequent):
        mentions.count(each)
    mentions.look(example_of(["Ann", "Lee"], ["O", "O"]), "here")
    assert mentions.cut
    assert [(each.text, each.labelled, each.unlabelled) for each in mentions.slips()] == [("Ann Lee", 4, 1)]


def test_the_first_conflicts_and_places_are_shown() -> None:
    repeats = Repeats()
    sentences = [example_of([f"{number % 25}"], ["B-x" if number < 25 else "O"]) for number in range(600)]
    for each in sentences:
        repeats.count("train", each)
    for number, each in enumerate(sentences):
        repeats.look("train", each, f"line {number}")
    examples = [*repeats.shown.values()]
    assert (len(repeats.differ), len(examples), repeats.count_repeated("train")) == (25, 20, 575)
    assert [len(each.places) for each in examples] == [20] * 20
    assert (examples[1].text, examples[1].places[1], examples[1].lines[1]) == ("1", ("train", 26), "line 26")


def test_types_that_are_tags_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    write_rows(file, [row("Anna Berg flew a B-52.", ("Anna", "B-PER"), ("Berg", "I-PER"), ("B-52", "B-52"))])
    found = check_data(str(file))
    assert found.tag_types == ("B-PER", "I-PER")
    assert "types that are tags: B-PER, I-PER. Pieces of" in advised(found)["tag_types"]


def test_what_overlaps_is_counted_and_told(tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    write_rows(file, [row("The ship Ann Lee.", ("Ann Lee", "ship"), ("Ann", "person")), row("Annes.", ("Ann", "x"))])
    found = check_data(str(file))
    assert +found.repairs == {Repair.OVERLAP: 1, Repair.GROWN: 1}
    assert found.splits["train"].types == {"ship": 1, "x": 1}
    assert "--overlaps longest or --overlaps first" in advised(found)["overlap"]
    assert "entities extended to whole words: 1" in advised(found)["repairs"]
    with raises(InputError, words="letters.jsonl:1: entities "):
        check_data(str(file), None, Reading())


def test_a_file_to_be_cut_is_checked_in_the_parts_that_training_sees(tmp_path: Path) -> None:
    file = tmp_path / "all.conll"
    file.write_text("a I-x\nb O\n\n" + "".join(f"word{each} B-x\nv O\n\n" for each in range(20)))
    found = check_data(str(file), reading=CheckReading(split="60/20/20"))
    parts = read_data(file, ("train", "dev", "test"), Reading(split="60/20/20")).splits
    assert {split: facts.sentences for split, facts in found.splits.items()} == {
        split: len(examples) for split, examples in parts.items()
    }
    assert [facts.scheme.broken for facts in found.splits.values()] == [1, 0, 0], "a fault is told once"
    assert found.sha256.keys() == {"all.conll"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"text": "Lee.", "spans": []}\n{"text": \n', "a.jsonl:2: not JSON"),
        ("c.jsonl", b"", "holds no sentence"),
        ("nowhere", None, "nowhere: no such file or folder"),
        (".", None, "holds no train split, say train.conll or train.jsonl"),
    ],
)
def test_messages(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with raises(InputError, words=words):
        check_data(str(tmp_path / name))


def test_data_without_a_fault_needs_nothing(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    text = "".join(f"{number}\tB-x\n\n" for number in range(9))
    found = check_data(str(make(train=text, test=text.replace("\tB", "0\tB"))))
    assert advice_on(found) == []
    print_findings(found, as_json=False)
    assert "Nothing to do" in capsys.readouterr().out
