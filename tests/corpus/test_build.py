import bz2
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nerbert.config import load_settings
from nerbert.corpus import build
from nerbert.corpus.build import BuiltCorpus
from nerbert.corpus.funnel import TOPICS, topic_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, UNTYPED, read_manifest, read_sentences, read_table, shard_paths
from nerbert.errors import InputError, NerbertError, OutputExists
from nerbert.executors import LocalExecutor
from nerbert.label_sets import open_label_set
from nerbert.records import ENTITY, TRAIN, VALIDATION, Mention
from nerbert.words import split_words
from tests.commands import exit_code
from tests.corpus.dump.test_inputs import standard_input
from tests.raised import raises, raising
from tests.stages import CorpusPlan, build_corpus

SETTINGS = CorpusSettings(min_mentions=5)
PAPER = open_label_set("paper315")


def plan(sample: Path, output: Path, dump: Path | str = "", **more: Any) -> CorpusPlan:
    return CorpusPlan((dump or sample / "wiki.xml",), (sample / "knowledge",), output, **more)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def mentions_of(corpus: Path, split: str | None = None) -> list[Mention]:
    return [mention for sentence in read_sentences(corpus, split) for mention in sentence.mentions]


def ids(corpus: Path) -> list[str]:
    return [sentence.id for sentence in read_sentences(corpus)]


def pages_of(corpus: Path, split: str) -> set[int]:
    return {sentence.page_id for sentence in read_sentences(corpus, split)}


def test_layout_and_schema(sample_corpus: Path) -> None:
    assert {path.name for path in sample_corpus.iterdir()} == {
        "manifest.json",
        "README.md",
        "dropped.jsonl",
        "pages",
        "titles",
        "targets",
        "sentences",
    }
    assert pq.read_schema(shard_paths(sample_corpus / "sentences")[0]).equals(TYPED)
    assert pq.read_schema(shard_paths(sample_corpus / "pages")[0]).equals(UNTYPED)
    assert TYPED.names == [
        "id",
        "wiki",
        "page_id",
        "revision",
        "title",
        "start",
        "text",
        "words",
        "mentions",
        "unknown",
        "split",
        "copies",
        "expected_copies",
    ]
    metadata = pq.ParquetFile(shard_paths(sample_corpus / "sentences")[0]).metadata
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_every_step_adds_up_and_hands_on(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    steps = {step["step"]: step for step in manifest["steps"]}
    for step in steps.values():
        assert step["in"] == step["out"] + sum(step["dropped"].values())
    order = ["exclude", "no link", "split", "filter 1", "filter 2", "filter 3"]
    assert [name for name in steps if name in order] == order
    for one, other in pairwise(order):
        assert steps[one]["out"] == steps[other]["in"]
    assert steps["newest revisions"]["in"] == steps["pages"]["out"]
    assert steps["filter 3"]["out"] == sum(split["sentences"] for split in manifest["splits"].values())
    assert steps["pages"]["dropped"]["redirect"] == 46


def test_sentences_hold_what_they_say(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    sentences = list(read_sentences(sample_corpus))
    for sentence in sentences:
        assert sentence.id == f"samplewiki:{sentence.page_id}:{sentence.revision}:{sentence.start}"
        assert sentence.words == split_words(sentence.text)
        starts, ends = {start for start, _ in sentence.words}, {end for _, end in sentence.words}
        assert any(mention.category != ENTITY for mention in sentence.mentions)
        for mention in sentence.mentions:
            assert mention.start in starts
            assert mention.end in ends
            assert mention.category in (ENTITY, PAPER.label(mention.class_path))
            assert bool(mention.class_path) == bool(mention.source)
        assert sentence.split == TRAIN or sentence.copies == 1 == sentence.expected_copies
        assert 0 <= sentence.copies - floor(sentence.expected_copies) <= 1
    assert len({sentence.id for sentence in sentences}) == len(sentences) == sum(manifest["shards"].values())
    train, validation = pages_of(sample_corpus, TRAIN), pages_of(sample_corpus, VALIDATION)
    assert train
    assert validation
    assert not train & validation


def test_the_manifest_counts_mentions(sample_corpus: Path) -> None:
    """Typed by redirects, infoboxes and tables; of categories below the bound, as ENTITY."""
    manifest, mentions = read_manifest(sample_corpus), mentions_of(sample_corpus)
    counts = Counter(mention.category for mention in mentions_of(sample_corpus, TRAIN))
    figures = {name: category["mentions"] for name, category in manifest["categories"].items()}
    assert {name: count for name, count in figures.items() if count} == counts
    assert {name for name, count in figures.items() if not count} <= {ENTITY}
    assert {mention.category for mention in mentions} <= set(figures)
    assert manifest["notes"]["filter 1"]["mentions_made_entity"] > 0
    paths = pq.read_table(sample_corpus / "targets")["class_path"].to_pylist()
    typed = sum(map(bool, paths))
    assert manifest["notes"]["targets"] == {"found": len(paths), "typed": typed, "bad_redirects": 0}
    assert any(mention.class_path and mention.category == ENTITY for mention in mentions)
    assert any(mention.resolved_target != mention.target for mention in mentions)
    assert all(m.resolved_target == "Oslo" for m in mentions if m.target in ("Christiania", "Kristiania"))
    sources = Counter(mention.source for mention in mentions)
    assert min(sources["infobox"], sources["titles.tsv"]) > 50
    topics = Counter(topic_of(mention.class_path) for mention in mentions_of(sample_corpus, TRAIN))
    assert {name: counted["mentions"] for name, counted in manifest["topics"].items()} == topics
    assert min(topics[name] for name in TOPICS) > 0
    assert f"| persons | {topics['persons']:,} |" in (sample_corpus / "README.md").read_text()
    assert list(manifest["classes"]) == sorted({name for mention in mentions for name in mention.class_path})
    assert manifest["classes"]["MusicalArtist"] == {"label": "musical artist"}


def test_the_manifest_names_inputs_without_this_machines_paths(sample_corpus: Path, sample: Path) -> None:
    manifest, data = read_manifest(sample_corpus), (sample / "wiki.xml").read_bytes()
    (dump,) = manifest["inputs"]
    assert (dump["sha256"], dump["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert str(sample) not in (sample_corpus / "manifest.json").read_text()
    assert manifest["wiki"] == "samplewiki"
    assert manifest["scanner"]
    assert "CC BY-SA" in manifest["licence"]
    rows = [json.loads(line) for line in (sample_corpus / "dropped.jsonl").read_text().splitlines()]
    assert {"no_entity", "only_untyped"} <= {row["reason"] for row in rows}
    assert all(row["text"] for row in rows)


def test_the_same_bytes_for_any_number_of_workers(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    with LocalExecutor(3) as executor:
        build_corpus(plan(sample, tmp_path / "out"), SETTINGS, executor)
    assert digests(tmp_path / "out") == digests(sample_corpus)


def test_excluded_texts_are_left_out_and_counted(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    victim = next(s for s in read_sentences(sample_corpus) if len(s.words) > 15)
    (tmp_path / "test.txt").write_text(victim.text.upper() + "\nno\n")
    manifest = build_corpus(plan(sample, tmp_path / "out", exclude=(tmp_path / "test.txt",)), SETTINGS).manifest
    assert victim.id not in ids(tmp_path / "out")
    dropped = {step["step"]: step["dropped"] for step in manifest["steps"]}
    assert dropped["exclude"]["excluded_text"] >= 1
    (named,) = manifest["excluded"]
    assert (named["file"], named["not_judged_share"]) == ("test.txt", 0.5)
    assert named["ngrams"] > 0
    assert manifest["notes"]["exclude"] == {"by_ngram": 1, "by_equality": 0, "not_judged": 1}
    assert "exclude" not in read_manifest(sample_corpus)["notes"]


@pytest.mark.nightly
def test_real_english_sample(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    real = CorpusPlan(
        (data / "wiki/enwiki-sample-pages-articles-multistream.xml.bz2",),
        (data / "dbpedia", data / "types/combined.tsv.xz"),
        tmp_path / "out",
    )
    with LocalExecutor(2) as executor:
        manifest = build_corpus(real, CorpusSettings(), executor).manifest
    assert manifest["steps"][0]["in"] == 775
    assert manifest["steps"][1]["dropped"] == {"duplicate_page": 3}
    assert len(manifest["categories"]) > 80
    assert set(manifest["categories"]) <= set(PAPER.labels)
    assert manifest["label_set"]["to_ancestor"]["OfficeHolder"] > 50
    assert abs(manifest["balance"]["fit"]["exponent"] - 0.7) < 0.02 < manifest["balance"]["literal"]["exponent"] - 0.7
    assert manifest["mention_sources"]["infobox"] > 500
    passed_over = {entry["path"] for entry in manifest["knowledge"]["passed_over"]}
    assert {"classes.tsv", "infobox_to_class.en.tsv", "README.md", "Mapping_de.xml.xz"} <= passed_over


def test_one_type_keeps_every_linked_sentence(sample: Path, tmp_path: Path) -> None:
    manifest = build_corpus(plan(sample, tmp_path / "out"), replace(SETTINGS, label_set="1type")).manifest
    assert manifest["label_set"]["name"] == manifest["settings"]["label_set"] == "1type"
    assert set(manifest["categories"]) == {ENTITY}
    steps = {step["step"]: step for step in manifest["steps"]}
    assert steps["filter 3"]["out"] == steps["split"]["out"]
    assert sum(sentence.copies for sentence in read_sentences(tmp_path / "out")) == steps["split"]["out"]


def test_cofees_corpus_has_each_sentence_with_a_link_once(sample: Path, tmp_path: Path) -> None:
    settings = load_settings(CorpusSettings, Path("configs/cofee_corpus.toml"), ["min_mentions=5"])
    steps = {step["step"]: step for step in build_corpus(plan(sample, tmp_path / "out"), settings).manifest["steps"]}
    sentences = list(read_sentences(tmp_path / "out"))
    assert len(sentences) == steps["split"]["out"]
    assert {sentence.copies for sentence in sentences} == {1}


def test_the_users_map_and_classes_that_it_misses(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("Place\tplace\nShip\tvessel\n")
    settings = replace(SETTINGS, label_set=str(tmp_path / "mine.tsv"))
    manifest = build_corpus(plan(sample, tmp_path / "out"), settings).manifest
    outside = manifest["label_set"]
    assert set(manifest["categories"]) == {"place", "vessel", ENTITY}
    assert outside["name"] == manifest["settings"]["label_set"] == "mine.tsv"
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()
    pages = [row for path in shard_paths(tmp_path / "out" / "pages") for row in read_table(path).to_pylist()]
    paths = {row["target"]: row["class_path"] for row in pq.read_table(tmp_path / "out" / "targets").to_pylist()}
    mine = open_label_set(str(tmp_path / "mine.tsv"))
    typed = [paths[link["target"]] for row in pages for link in row["links"] if paths[link["target"]]]
    assert sum(outside["to_entity"].values()) == sum(mine.label(path) == ENTITY for path in typed)
    assert list(outside["to_entity"].values()) == sorted(outside["to_entity"].values(), reverse=True)
    assert "Person" in outside["to_entity"]
    assert "City" in outside["to_ancestor"]


Make = Callable[[Path, Path], tuple[CorpusPlan, CorpusSettings]]


def of_dump(data: str | bytes) -> Make:
    """Arrange a build of a dump with this content."""

    def make(sample: Path, folder: Path) -> tuple[CorpusPlan, CorpusSettings]:
        (folder / "dump.xml").write_bytes(data.encode() if isinstance(data, str) else data)
        return plan(sample, folder / "out", folder / "dump.xml"), SETTINGS

    return make


def of_dumps(*dumps: str) -> Make:
    return lambda sample, folder: (
        CorpusPlan(tuple(d.format(sample=sample) for d in dumps), (sample / "knowledge",), folder / "out"),
        SETTINGS,
    )


def of_two_wikis(sample: Path, folder: Path) -> tuple[CorpusPlan, CorpusSettings]:
    (folder / "other.xml").write_text((sample / "wiki.xml").read_text().replace("samplewiki", "otherwiki"))
    return of_dumps("{sample}/wiki.xml", f"{folder}/other.xml")(sample, folder)


def linked_twice(sample: Path, folder: Path) -> tuple[CorpusPlan, CorpusSettings]:
    (folder / "link.xml").symlink_to(sample / "wiki.xml")
    return of_dumps("{sample}/wiki.xml", f"{folder}/link.xml")(sample, folder)


def taken(sample: Path, folder: Path) -> tuple[CorpusPlan, CorpusSettings]:
    (folder / "taken").mkdir()
    (folder / "taken" / "x").write_text("")
    return plan(sample, folder / "taken"), SETTINGS


def of_unknown_knowledge(sample: Path, folder: Path) -> tuple[CorpusPlan, CorpusSettings]:
    """It is told before the dump is read, in which another fault is."""
    bad, settings = of_dump((sample / "wiki.xml").read_text().replace("<ns>0</ns>", "<ns>zero</ns>", 1))(sample, folder)
    return replace(bad, knowledge=(folder / "none",)), settings


def of_a_wrong_map(sample: Path, folder: Path) -> tuple[CorpusPlan, CorpusSettings]:
    (folder / "mine.tsv").write_text("Shp\tvessel\n")
    return plan(sample, folder / "out"), replace(SETTINGS, label_set=str(folder / "mine.tsv"))


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (of_dump("not a dump at all"), InputError, "dump.xml:1: not a complete MediaWiki export"),
        (of_dumps("none.xml"), InputError, "none.xml: no such dump"),
        (of_dumps(), InputError, "no dump given"),
        (of_dumps("-", "-"), InputError, "standard input: given twice"),
        (linked_twice, InputError, "link.xml: given twice; give each file once"),
        (
            lambda *where: (of_two_wikis(*where)[0], replace(SETTINGS, language="it")),
            InputError,
            "other.xml: of otherwiki",
        ),
        (of_two_wikis, InputError, "other.xml: of otherwiki, wiki.xml of samplewiki"),
        (taken, OutputExists, "exists already"),
        (
            lambda sample, folder: (plan(sample, folder / "out", exclude=(folder / "none.conll",)), SETTINGS),
            InputError,
            "none.conll: no such file or folder",
        ),
        (of_unknown_knowledge, InputError, "none: no such file or folder"),
        (of_a_wrong_map, InputError, "mine.tsv:1: class 'Shp' is not in the ontology: did you mean 'Ship'?"),
        (of_dump("<mediawiki></mediawiki>\n"), NerbertError, "would be empty: no sentence of the train part has a"),
    ],
)
def test_messages(sample: Path, tmp_path: Path, make: Make, kind: type[NerbertError], words: str) -> None:
    """Nothing stays of a build that can't begin."""
    bad, settings = make(sample, tmp_path)
    with raises(kind, words):
        build_corpus(bad, settings)
    assert not (tmp_path / "out").exists()
    assert bool(list(tmp_path.glob(".out*"))) == (kind is NerbertError)


def test_a_card_is_written_into_the_unfinished_folder(sample: Path, tmp_path: Path) -> None:
    plan_ = plan(sample, tmp_path / "out")

    def card(folder: Path, built: BuiltCorpus) -> None:
        assert built.folder == plan_.output
        assert not plan_.output.exists()
        (folder / "CARD").write_text(built.manifest["wiki"])

    with pytest.raises(ZeroDivisionError):
        build.build_corpus(plan_, SETTINGS, raising(ZeroDivisionError()))
    assert not plan_.output.exists()
    build.build_corpus(plan_, SETTINGS, card)
    assert (plan_.output / "CARD").read_text() == "samplewiki"
    assert not (plan_.output / "README.md").exists()


def test_two_dumps_of_one_wiki_are_one_corpus(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    """A dump cut in two after its tenth page gives the same sentences; an index is passed over."""
    xml = (sample / "wiki.xml").read_text()
    begin, cut, end = xml.index("<page>"), [match.end() for match in re.finditer("</page>", xml)][9], "</mediawiki>"
    streams = [bz2.compress(part.encode()) for part in (xml[:begin], xml[begin:cut], end)]
    one, index, other = (tmp_path / name for name in ("a-multistream.xml.bz2", "a-multistream-index.txt", "b.xml"))
    one.write_bytes(b"".join(streams))
    index.write_text(f"{len(streams[0])}:1:A\n")
    other.write_text(xml[:begin] + xml[cut:])
    two = CorpusPlan((index, one, other), (sample / "knowledge",), tmp_path / "out")
    with LocalExecutor(2) as executor:
        manifest = build_corpus(two, replace(SETTINGS, split_bytes=20_000), executor).manifest
    assert [(entry["file"], entry.get("parts", 1) > 5) for entry in manifest["inputs"]] == [
        (one.name, False),
        (other.name, True),
    ]
    assert list(read_sentences(tmp_path / "out")) == list(read_sentences(sample_corpus))


def test_standard_input_on_the_command_line(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    data = gzip.compress((sample / "wiki.xml").read_bytes())
    words = ("--knowledge", sample / "knowledge", "-o", tmp_path / "out", "--set", "min_mentions=5", "--workers", 2)
    with standard_input(data):
        assert exit_code("corpus", "build", "-", *words) == 0
    assert ids(tmp_path / "out") == ids(sample_corpus)
    (given,) = read_manifest(tmp_path / "out")["inputs"]
    assert (given["file"], given["sha256"]) == ("-", hashlib.sha256(data).hexdigest())
