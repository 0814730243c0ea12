"""The open-type data set is what its card says: marked by the guide, unlike itself and known sets, built alike."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nerbert.artifacts import sha256_of
from nerbert.data.catalogue import known_data
from nerbert.data.open_types import read_open_types
from nerbert.records import Document, Span
from nerbert.words import split_words
from tests.examples import read_examples

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "sources" / "open_types"


@dataclass(frozen=True)
class Tools:
    """The scripts beside the passages."""

    domains: Any
    check: Any
    build: Any
    agreement: Any


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    names = [each.name for each in fields(Tools)]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SOURCES))
        yield Tools(*map(import_module, names))
        for name in names:
            del sys.modules[name]


@pytest.fixture(scope="module")
def every(tools: Tools) -> list[Any]:
    return list(tools.domains.read_domains())


def test_it_is_without_a_fault(tools: Tools, every: list[Any]) -> None:
    assert [*tools.check.all_faults(every, None), *tools.check.set_faults(every)] == []


def test_no_passage_is_borrowed(tools: Tools, every: list[Any], tmp_path: Path) -> None:
    """The set itself is no known one."""
    passages = [(domain.name, passage) for domain in every for passage in domain.passages]
    sample = ROOT / "nerbert" / "sample"
    assert list(tools.check.borrowed(passages, sample)) == []
    stolen = Document(read_examples(sample / "domain" / "test.conll")[3].text)
    assert list(tools.check.borrowed([("x", stolen)], sample)) != []
    text = "one two three four five six seven eight nine"
    for name in ("open-types", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text(f'{{"text": "{text}", "entities": []}}\n')
    faults = list(tools.check.borrowed([("x", Document(text))], tmp_path))
    assert [fault.rpartition(" with ")[2] for fault in faults] == ["other/train.jsonl"] * 2


@pytest.mark.nightly
@pytest.mark.parametrize("known", ["ner", "ner_many"])
def test_no_passage_is_borrowed_from_known_sets(tools: Tools, every: list[Any], shared: Path, known: str) -> None:
    passages = [(domain.name, passage) for domain in every for passage in domain.passages]
    assert list(tools.check.borrowed(passages, shared / "data" / known)) == []


def test_the_first_version_stays_as_it_is(tools: Tools, every: list[Any], tmp_path: Path) -> None:
    hashes = tools.build.build(tmp_path, [each for each in every if each.version == 1])
    assert hashes["train.jsonl"].startswith("46d5bd3b61b4")


@pytest.mark.parametrize(
    ("name", "template", "in_english"),
    [("open-types", "card.md.j2", True), ("open-types-languages", "card_languages.md.j2", False)],
)
def test_what_is_built_is_what_is_published(
    tools: Tools, every: list[Any], tmp_path: Path, name: str, template: str, in_english: bool
) -> None:
    domains = [each for each in every if (each.language == "en") == in_english]
    tools.build.build(tmp_path, domains, template)
    known = known_data()[name]
    assert {split: each.sha256 for split, each in known.splits.items()} == {
        split: sha256_of(tmp_path / f"{split}.jsonl") for split in known.splits
    }
    for split, each in known.splits.items():
        texts = list(read_open_types(tmp_path / f"{split}.jsonl"))
        assert (len(texts), sum(len(one.entities) for one in texts)) == (each.sentences, each.entities)
        assert sum(len(split_words(one.text)) for one in texts) == each.tokens
        assert all(one.asked and {entity.type for entity in one.entities} <= set(one.asked) for one in texts)
    assert "CC0-1.0" in (tmp_path / "README.md").read_text()


def test_the_second_annotator_marked_the_draw_and_agrees_as_stated(tools: Tools, every: list[Any]) -> None:
    drawn = tools.agreement.draw(every)
    found = tools.agreement.scores()
    assert sum(map(len, drawn.values())) == 1000 + 14 * 30
    second = {name: tools.domains.read_domain(tools.agreement.SECOND / f"{name}.marked") for name in found}
    assert {name: len(each.passages) for name, each in second.items()} == {
        name: len(passages) for name, passages in drawn.items()
    }
    english, languages = ((SOURCES / name).read_text() for name in ("agreement.md", "card_languages.md.j2"))
    for version, told in ((1, english), (2, english), (3, languages)):
        total = tools.agreement.total_of(found, version)
        assert f"{100 * total.mention_f1:.1f} %" in told
        assert f"{100 * total.type_agreement:.1f} %" in told


HEADER = "# domain: d\n# genre: g\n# type: ship: a named vessel\n# type: polar ship < ship: a named ship for ice\n\n"


def domain_of(tools: Tools, folder: Path, *lines: str, header: str = HEADER) -> Any:
    path = folder / "x.marked"
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return tools.domains.read_domain(path)


def test_faults_are_found(tools: Tools, tmp_path: Path) -> None:
    domain = domain_of(tools, tmp_path, "The [Fram|polar ship] left.")
    assert domain.entities(domain.passages[0]) == [Span(4, 8, "polar ship", "Fram"), Span(4, 8, "ship", "Fram")]
    header = HEADER + "# type: Ports: a named harbour town\n# names: invented\n"
    nested = "She saw the [[Fram|polar ship] II|ship] and the [Belgica|polar ship] beside each other."
    same = "She saw the [Gauss|ship] and the [Belgica|polar ship] beside each other."
    domain = domain_of(tools, tmp_path, nested, same, "[Fram|ship].", header=header)
    told = "\n".join([*tools.check.all_faults([domain], None), *tools.check.set_faults([domain])])
    for fault in (
        "3 passages, fewer",
        "0 passages without",
        "'Ports' must be lower",
        "'Ports' is used 0",
        "10: 1 words",
        "0 of 3 passages are long",
        "'Fram' is marked inside 'Fram II'",
        "x:9: shares 3 of 7 4-grams with x:8",
    ):
        assert fault in told
    assert list(tools.check.hints(domain_of(tools, tmp_path, "[Fram|ship] left Oslo.", "The Fram came."))) == [
        "7: 'Fram' is not marked here; elsewhere it is ship"
    ]


@pytest.mark.parametrize(
    ("header", "line", "error"),
    [
        (HEADER, "[Oslo|city] sleeps.", r"x\.marked:6: type 'city' is not listed"),
        ("# domain: d\n", "Hm.", "needs '# domain:' and '# genre:'"),
        (HEADER + "# type: ship: twice\n", "Hm.", r"x\.marked:6: '# type: ship: twice'"),
        (HEADER + "# type: x < y: something there\n", "Hm.", "broader type 'y' has no line"),
        (HEADER, "#Fields: date time", r"x\.marked:6: '#Fields: date time': is no line of a header"),
        (HEADER + "# nested: true\n", "Hm.", "'# nested: true' must be yes or no"),
        (HEADER + "# names: some\n", "Hm.", "'# names: some' must be real, invented or mixed"),
    ],
)
def test_a_broken_file_is_named(tools: Tools, tmp_path: Path, header: str, line: str, error: str) -> None:
    with pytest.raises(Exception, match=error):
        domain_of(tools, tmp_path, line, header=header)
