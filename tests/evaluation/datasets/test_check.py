import json
import re
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.evaluation.datasets.check import check_data, read_scheme
from nerbert.evaluation.datasets.load import open_data
from nerbert.render.terminal.models import print_findings
from tests.evaluation.datasets.conftest import TRAIN, Make


@pytest.mark.parametrize(
    ("tags", "name", "broken", "first"),
    [
        ("O B-a I-a B-a B-b", "IOB2", 0, 0),
        ("O O", "no entity", 0, 0),
        ("O I-a I-a O I-b", "IO or IOB1", 2, 2),
        ("I-a B-a I-a O I-b", "IOB1", 2, 1),
        ("B-a O I-a", "mixed", 1, 3),
        ("B-a I-b", "mixed", 1, 2),
        ("B-a | I-a", "mixed", 1, 3),
    ],
)
def test_schemes(tmp_path: Path, tags: str, name: str, broken: int, first: int) -> None:
    file = tmp_path / "some.conll"
    file.write_text("".join("\n" if tag == "|" else f"x\t{tag}\n" for tag in tags.split()))
    scheme = read_scheme(file)
    assert (scheme.name, scheme.broken, scheme.first_broken) == (name, broken, first)


def test_lines_are_those_of_the_reader(tmp_path: Path) -> None:
    """A byte order mark, CRLF, spaces, middle columns, document starts and other line ends don't put it out."""
    file = tmp_path / "some.conll"
    lines = ("\ufeff-DOCSTART- -X- O O", "", "Aske NNP I-NP I-ORG ", "a\u2028b\x0bc\tO", " \t", "Holm x I-PER")
    file.write_bytes("\r\n".join(lines).encode())
    scheme = read_scheme(file)
    assert (scheme.name, scheme.broken, scheme.first_broken) == ("IO or IOB1", 2, 3)
    assert open_data(str(file)).train[0].spans[0].type == "ORG"


def test_other_schemes_are_read_and_named(make: Make) -> None:
    folder = make(train="a\tB-x\nb\tE-x\nc\tS-x\nd\tO\ne\tO\n")
    for name, root in ((str(folder), None), ("ships", folder.parent), (str(folder / "train.conll"), None)):
        facts = check_data(name, root).splits["train"]
        assert (facts.scheme.name, facts.scheme.broken, facts.entities) == ("BIOES", 0, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\tO\nb\n", "train.conll:2: broken line 'b'"),
        ("a\tO\nb\t\n", "train.conll:2: broken line"),
        ("a\tO\nb\tB-\n", "train.conll:2: tag 'B-': must be"),
        ("a\tO\nb\tO-x\n", "train.conll:2: tag 'O-x': must be"),
        ("", "holds no sentence"),
    ],
)
def test_what_is_broken_otherwise_is_told_by_the_reader(make: Make, text: str, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        check_data(str(make(train=text)))


def test_a_no_break_space_is_no_end_of_a_token(make: Make) -> None:
    assert check_data(str(make(train="a\u00a0b O\n"))).splits["train"].tokens == 1


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
    assert found.conflict_examples[0].places == (("train", 2), ("dev", 2), ("test", 2))
    assert found.schemes == {"train": "IOB2", "dev": "IOB2", "test": "mixed"}
    assert json.loads(json.dumps(found.as_json()))["splits"]["test"]["scheme"]["broken"] == 2


def test_a_test_split_alone_can_be_checked(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(test=TRAIN + "Inga\tB-ship\n\nInga\tO\n")
    found = check_data(str(folder))
    assert (list(found.splits), found.lacking, found.rare, found.duplicates) == (["test"], {}, {}, {})
    assert (found.splits["test"].entities, found.conflicts) == (4, 1)
    print_findings(found, as_json=False)
    told = capsys.readouterr().out
    assert "equal sentences with different tags: 1, " in told
    assert "train" not in told.replace(str(folder), "")


def test_a_folder_without_any_split_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no train split, say train\.conll or train\.jsonl"):
        check_data(str(tmp_path))


def test_equal_sentences_with_equal_tags_are_no_conflict(make: Make) -> None:
    found = check_data(str(make(train=TRAIN + TRAIN)))
    assert (found.conflicts, found.splits["train"].repeated, found.duplicates) == (0, 3, {})


def test_real_data_is_checked(shared: Path) -> None:
    folder = shared / "data" / "ner" / "defense_re3d"
    if not folder.is_dir():
        pytest.skip("no defense_re3d there")
    found = check_data(str(folder))
    assert set(found.schemes.values()) == {"IOB2"}
    assert found.duplicates["train/test"] == 8
    assert (found.lacking, found.rare) == ({}, {})
    assert found.conflicts > 0
