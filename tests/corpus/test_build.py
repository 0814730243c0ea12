import bz2
import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nerbert.cli import main
from nerbert.corpus import build
from nerbert.corpus.build import BuiltCorpus
from nerbert.corpus.filters import sentence_key
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, UNTYPED, read_manifest, read_sentences, read_table, shard_paths
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.executors import LocalExecutor
from nerbert.label_sets import open_label_set
from nerbert.records import ENTITY, TRAIN, VALIDATION, Mention
from nerbert.words import split_words
from tests.stages import CorpusPlan, build_corpus

SETTINGS = CorpusSettings(min_mentions=5)
PAPER = open_label_set("paper315")


def plan(sample: Path, output: Path, **more: Any) -> CorpusPlan:
    return CorpusPlan((sample / "wiki.xml",), (sample / "knowledge",), output, **more)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_layout_and_schema(sample_corpus: Path) -> None:
    assert {path.name for path in sample_corpus.iterdir()} == {
        "manifest.json", "README.md", "dropped.jsonl", "pages", "titles", "targets", "sentences",
    }  # fmt: skip
    assert pq.read_schema(shard_paths(sample_corpus / "sentences")[0]).equals(TYPED)
    assert pq.read_schema(shard_paths(sample_corpus / "pages")[0]).equals(UNTYPED)
    assert TYPED.names == [
        "id", "wiki", "page_id", "revision", "title", "start", "text", "words", "mentions", "unknown", "split",
        "copies", "expected_copies",
    ]  # fmt: skip
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
    ids = set()
    for sentence in read_sentences(sample_corpus):
        ids.add(sentence.id)
        assert sentence.words == split_words(sentence.text)
        starts, ends = {start for start, _ in sentence.words}, {end for _, end in sentence.words}
        assert any(mention.category != ENTITY for mention in sentence.mentions)
        for mention in sentence.mentions:
            assert mention.start in starts
            assert mention.end in ends
            assert mention.category in manifest["categories"]
            assert mention.category in (ENTITY, PAPER.label(mention.class_path))
            assert bool(mention.class_path) == bool(mention.source)
        assert sentence.split in (TRAIN, VALIDATION)
        assert sentence.split == TRAIN or sentence.copies == 1 == sentence.expected_copies
        assert 0 <= sentence.copies - floor(sentence.expected_copies) <= 1
    assert len(ids) == sum(manifest["shards"].values())


def test_sentence_ids_point_into_the_clean_page(sample_corpus: Path) -> None:
    for sentence in list(read_sentences(sample_corpus))[:50]:
        assert sentence.id == f"samplewiki:{sentence.page_id}:{sentence.revision}:{sentence.start}"


def test_train_and_validation_ratio_no_page(sample_corpus: Path) -> None:
    pages: dict[str, set[int]] = {TRAIN: set(), VALIDATION: set()}
    for sentence in read_sentences(sample_corpus):
        pages[sentence.split].add(sentence.page_id)
    assert pages[TRAIN]
    assert pages[VALIDATION]
    assert not pages[TRAIN] & pages[VALIDATION]


def test_redirects_infoboxes_and_tables_type_links(sample_corpus: Path) -> None:
    mentions = [mention for sentence in read_sentences(sample_corpus) for mention in sentence.mentions]
    assert any(m.resolved_target != m.target for m in mentions)
    sources = Counter(m.source for m in mentions)
    assert sources["infobox"] > 50
    assert sources["titles.tsv"] > 50
    assert all(m.resolved_target == "Oslo" for m in mentions if m.target in ("Christiania", "Kristiania"))


def test_categories_below_the_bound_became_entity(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    assert manifest["notes"]["filter 1"]["mentions_made_entity"] > 0
    assert all(c["mentions"] > 0 for name, c in manifest["categories"].items() if name != ENTITY)
    folded = [m for s in read_sentences(sample_corpus) for m in s.mentions if m.class_path and m.category == ENTITY]
    assert folded


def test_manifest_has_the_words_of_the_classes_in_the_corpus(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    mentions = (mention for sentence in read_sentences(sample_corpus) for mention in sentence.mentions)
    there = {name for mention in mentions for name in mention.class_path}
    assert set(manifest["classes"]) == there
    assert list(manifest["classes"]) == sorted(there)
    assert manifest["classes"]["MusicalArtist"] == {"label": "musical artist"}


def test_manifest_names_inputs_without_this_machines_paths(sample_corpus: Path, sample: Path) -> None:
    manifest = read_manifest(sample_corpus)
    (dump,) = manifest["inputs"]
    assert dump["sha256"] == hashlib.sha256((sample / "wiki.xml").read_bytes()).hexdigest()
    assert dump["bytes"] == (sample / "wiki.xml").stat().st_size
    assert str(sample) not in (sample_corpus / "manifest.json").read_text()
    assert manifest["wiki"] == "samplewiki"
    assert manifest["scanner"]
    assert "CC BY-SA" in manifest["licence"]


def test_dropped_sentences_are_kept_to_be_read(sample_corpus: Path) -> None:
    rows = [json.loads(line) for line in (sample_corpus / "dropped.jsonl").read_text().splitlines()]
    assert {"no_entity", "only_untyped"} <= {row["reason"] for row in rows}
    assert all(row["text"] for row in rows)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_same_bytes_for_any_number_of_workers(
    sample_corpus: Path, sample: Path, tmp_path: Path, workers: int
) -> None:
    with LocalExecutor(workers) as executor:
        build_corpus(plan(sample, tmp_path / "out"), SETTINGS, executor)
    assert digests(tmp_path / "out") == digests(sample_corpus)


def test_another_seed_splits_and_draws_otherwise(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    build_corpus(plan(sample, tmp_path / "out"), CorpusSettings(min_mentions=5, seed=2))
    one = {s.id: (s.split, s.copies) for s in read_sentences(sample_corpus)}
    other = {s.id: (s.split, s.copies) for s in read_sentences(tmp_path / "out")}
    assert any(one[key] != other[key] for key in one.keys() & other.keys())


def test_small_shards_hold_the_same_sentences(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    build_corpus(plan(sample, tmp_path / "out"), CorpusSettings(min_mentions=5, split_bytes=9_000))
    assert [s.id for s in read_sentences(tmp_path / "out")] == [s.id for s in read_sentences(sample_corpus)]


def test_excluded_texts_are_left_out_and_counted(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    victim = next(s for s in read_sentences(sample_corpus) if len(s.words) > 15)
    (tmp_path / "test.txt").write_text(victim.text.upper() + "\nno\n")
    manifest = build_corpus(plan(sample, tmp_path / "out", exclude=(tmp_path / "test.txt",)), SETTINGS).manifest
    assert victim.id not in {s.id for s in read_sentences(tmp_path / "out")}
    dropped = {step["step"]: step["dropped"] for step in manifest["steps"]}
    assert dropped["exclude"]["excluded_text"] >= 1
    (named,) = manifest["excluded"]
    assert named["file"] == "test.txt"
    assert named["ngrams"] > 0
    assert named["not_judged_share"] == 0.5
    assert manifest["notes"]["exclude"] == {"by_ngram": 1, "by_equality": 0, "not_judged": 1}
    assert "exclude" not in read_manifest(sample_corpus)["notes"]


def test_of_pages_with_one_id_the_newest_wins(sample: Path, tmp_path: Path) -> None:
    xml = (sample / "wiki.xml").read_text()
    page = xml[xml.index("<page>") : xml.index("</page>") + len("</page>")]
    revision = page[page.index("<revision>") :].partition("<id>")[2].partition("</id>")[0]
    older = page.replace(f"<id>{revision}</id>", f"<id>{int(revision) - 1}</id>", 1)
    twice = xml.replace(page, older + page + page, 1)
    (tmp_path / "wiki.xml").write_text(twice)
    twin = CorpusPlan((tmp_path / "wiki.xml",), (sample / "knowledge",), tmp_path / "out")
    manifest = build_corpus(twin, SETTINGS).manifest
    assert manifest["steps"][1] == {
        "step": "newest revisions", "in": manifest["steps"][0]["out"], "out": manifest["steps"][0]["out"] - 2,
        "dropped": {"duplicate_page": 2},
    }  # fmt: skip
    ids = [s.id for s in read_sentences(tmp_path / "out")]
    assert len(ids) == len(set(ids))
    assert not any(f":{int(revision) - 1}:" in each for each in ids)
    untyped = [row["id"] for path in shard_paths(tmp_path / "out" / "pages") for row in read_table(path).to_pylist()]
    assert len(untyped) == len(set(untyped))
    fates = Counter(
        f for path in shard_paths(tmp_path / "out" / "titles") for f in read_table(path)["fate"].to_pylist()
    )
    assert fates["duplicate_page"] == 2
    assert manifest["steps"][2]["step"] == "disambiguation pages"
    assert fates["disambiguation_page"] == manifest["steps"][2]["dropped"]["disambiguation_page"] == 2
    assert fates["article"] == manifest["steps"][2]["out"]


def test_opens_in_duckdb(sample_corpus: Path) -> None:
    import duckdb

    query = f"""select m.category, count(*) from (select unnest(mentions) as m from
        '{sample_corpus}/sentences/*.parquet' where split = 'train') group by 1"""
    counts = dict(duckdb.connect().execute(query).fetchall())
    categories = read_manifest(sample_corpus)["categories"]
    assert counts == {name: figures["mentions"] for name, figures in categories.items() if figures["mentions"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a dump at all", "not a complete MediaWiki export"),
        (b"", "not a complete MediaWiki export"),
        (b"<html><body>404</body></html>", "its root is <html>"),
    ],
)
def test_bad_dumps_leave_nothing(sample: Path, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "dump.xml").write_bytes(content)
    bad = CorpusPlan((tmp_path / "dump.xml",), (sample / "knowledge",), tmp_path / "out")
    with pytest.raises(InputError, match=message):
        build_corpus(bad, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["dump.xml"]


def test_cut_off_dump_leaves_nothing(sample: Path, tmp_path: Path) -> None:
    whole = (sample / "wiki.xml").read_bytes()
    (tmp_path / "dump.xml").write_bytes(whole[: len(whole) // 2])
    bad = CorpusPlan((tmp_path / "dump.xml",), (sample / "knowledge",), tmp_path / "out")
    with pytest.raises(InputError, match=r"dump\.xml: not a complete MediaWiki export"):
        build_corpus(bad, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["dump.xml"]


def test_missing_inputs_and_taken_output(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such dump"):
        build_corpus(CorpusPlan((tmp_path / "none.xml",), (sample / "knowledge",), tmp_path / "out"), SETTINGS)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").write_text("")
    with pytest.raises(OutputExists, match="exists already"):
        build_corpus(plan(sample, tmp_path / "taken"), SETTINGS)
    with pytest.raises(InputError, match="no such file or folder"):
        build_corpus(plan(sample, tmp_path / "out", exclude=(tmp_path / "none.conll",)), SETTINGS)


def test_an_empty_corpus_says_what_to_give(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "titles.tsv").write_text("title\tclass\nNo such page\tCity\n")
    poor = CorpusPlan((sample / "wiki.xml",), (tmp_path / "titles.tsv",), tmp_path / "out")
    with pytest.raises(NerbertError, match="corpus would be empty: no link leads to a title that the knowledge types"):
        build_corpus(poor, SETTINGS)
    assert not (tmp_path / "out").exists()


def test_half_written_corpora_are_refused(sample_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such corpus folder"):
        read_manifest(tmp_path / "none")
    (tmp_path / "half").mkdir()
    with pytest.raises(InputError, match=r"has no manifest\.json: not a corpus, or unfinished"):
        read_manifest(tmp_path / "half")
    manifest = json.loads((sample_corpus / "manifest.json").read_text())
    for change, message in (
        ({"format": 99}, "format = 99: must be 3; build the corpus again"),
        ({"shards": {"sentences/part-00000.parquet": 5}}, "shard is missing or damaged"),
        ({"shards": {"../../etc/passwd": 5}}, "lies outside the corpus; refused"),
    ):
        (tmp_path / "half" / "manifest.json").write_text(json.dumps(manifest | change))
        with pytest.raises(InputError, match=message):
            read_manifest(tmp_path / "half")


def test_shards_that_shrank_are_refused(sample_corpus: Path, tmp_path: Path) -> None:
    from shutil import copytree

    copytree(sample_corpus, tmp_path / "copy")
    (shard,) = shard_paths(tmp_path / "copy" / "sentences")
    pq.write_table(pq.read_table(shard).slice(0, 3), shard)
    with pytest.raises(InputError, match="has 3 sentences, the manifest says"):
        read_manifest(tmp_path / "copy")
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(InputError, match="shard is missing or damaged"):
        read_manifest(tmp_path / "copy")


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
    passed_over = {each["path"] for each in manifest["knowledge"]["passed_over"]}
    assert {"classes.tsv", "infobox_to_class.en.tsv", "README.md", "Mapping_de.xml.xz"} <= passed_over


def test_two_builds_to_one_place_share_nothing(sample: Path, tmp_path: Path) -> None:
    build_corpus(plan(sample, tmp_path / "out"), SETTINGS)
    rows = {m.resolved_target for s in read_sentences(tmp_path / "out") for m in s.mentions}
    (tmp_path / "all.tsv").write_text("title\tclass\n" + "".join(f"{title}\tPerson\n" for title in sorted(rows)))
    other = CorpusPlan((sample / "wiki.xml",), (tmp_path / "all.tsv",), tmp_path / "out", overwrite=True)
    assert set(build_corpus(other, SETTINGS).manifest["categories"]) == {"person", ENTITY}


def mentions_of(corpus: Path) -> list[Mention]:
    return [mention for sentence in read_sentences(corpus) for mention in sentence.mentions]


@pytest.mark.parametrize("name", ["4types", "212types", "dbpedia"])
def test_a_label_set_decides_categories_not_paths(sample_corpus: Path, sample: Path, tmp_path: Path, name: str) -> None:
    manifest = build_corpus(plan(sample, tmp_path / "out"), replace(SETTINGS, label_set=name)).manifest
    assert manifest["label_set"]["name"] == manifest["settings"]["label_set"] == name
    some = open_label_set(name)
    mentions = mentions_of(tmp_path / "out")
    assert {mention.category for mention in mentions} == set(manifest["categories"])
    assert all(mention.category in (ENTITY, some.label(mention.class_path)) for mention in mentions)
    paths = {mention.resolved_target: mention.class_path for mention in mentions_of(sample_corpus)}
    assert all(paths.get(m.resolved_target, m.class_path) == m.class_path for m in mentions)


def test_one_type_keeps_every_linked_sentence(sample: Path, tmp_path: Path) -> None:
    manifest = build_corpus(plan(sample, tmp_path / "out"), replace(SETTINGS, label_set="1type")).manifest
    assert set(manifest["categories"]) == {ENTITY}
    steps = {step["step"]: step for step in manifest["steps"]}
    assert steps["filter 3"]["out"] == steps["split"]["out"]
    assert sum(sentence.copies for sentence in read_sentences(tmp_path / "out")) == steps["split"]["out"]


def test_the_users_map_and_classes_that_it_misses(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("Place\tplace\nShip\tvessel\n")
    settings = replace(SETTINGS, label_set=str(tmp_path / "mine.tsv"))
    manifest = build_corpus(plan(sample, tmp_path / "out"), settings).manifest
    assert set(manifest["categories"]) == {"place", "vessel", ENTITY}
    assert manifest["label_set"]["name"] == manifest["settings"]["label_set"] == "mine.tsv"
    outside = manifest["label_set"]
    assert "Person" in outside["to_entity"]
    pages = [row for path in shard_paths(tmp_path / "out" / "pages") for row in read_table(path).to_pylist()]
    targets = pq.read_table(tmp_path / "out" / "targets").to_pylist()
    paths = {row["target"]: row["class_path"] for row in targets}
    mine = open_label_set(str(tmp_path / "mine.tsv"))
    typed = [paths[link["target"]] for row in pages for link in row["links"] if paths[link["target"]]]
    assert sum(outside["to_entity"].values()) == sum(mine.label(path) == ENTITY for path in typed)
    assert "City" in outside["to_ancestor"]
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()
    assert list(outside["to_entity"].values()) == sorted(outside["to_entity"].values(), reverse=True)


def test_a_map_with_an_unknown_class_is_told_before_the_dump_is_read(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("Shp\tvessel\n")
    with pytest.raises(InputError, match=r"mine\.tsv:1: class 'Shp' is not in the ontology: did you mean 'Ship'\?"):
        build_corpus(plan(sample, tmp_path / "out"), replace(SETTINGS, label_set=str(tmp_path / "mine.tsv")))
    assert not list(tmp_path.glob(".out*"))


def test_equal_sentences_never_stand_on_both_sides(sample: Path, tmp_path: Path) -> None:
    """Every article is there twice, under two ids and titles; twins that the split parts are dropped and counted."""
    xml = (sample / "wiki.xml").read_text()
    head, pages = xml[: xml.index("<page>")], xml[xml.index("<page>") : xml.rindex("</mediawiki>")]
    again = re.sub(r"<id>(\d+)</id>(\s*)<revision>", r"<id>9\g<1>00</id>\2<revision>", pages)
    again = re.sub(r"<title>([^<:]+)</title>", r"<title>\1 again</title>", again).replace("The ", "THE ")
    (tmp_path / "twice.xml").write_text(f"{head}{pages}{again}</mediawiki>")
    twice = CorpusPlan((tmp_path / "twice.xml",), (sample / "knowledge",), tmp_path / "out")
    manifest = build_corpus(twice, replace(SETTINGS, validation_ratio=0.3)).manifest
    keys: dict[str, set[int]] = {TRAIN: set(), VALIDATION: set()}
    for sentence in read_sentences(tmp_path / "out"):
        keys[sentence.split].add(sentence_key(sentence.text))
    assert keys[TRAIN]
    assert keys[VALIDATION]
    assert not keys[TRAIN] & keys[VALIDATION]
    dropped = {step["step"]: step["dropped"] for step in manifest["steps"]}["split"]
    assert dropped["equal_in_train"] > 50
    assert "equal_in_train" in (tmp_path / "out" / "dropped.jsonl").read_text()


def test_the_papers_split_by_sentence(sample: Path, tmp_path: Path) -> None:
    build_corpus(plan(sample, tmp_path / "out"), replace(SETTINGS, split_by="sentence", validation_ratio=0.5))
    pages: dict[str, set[int]] = {TRAIN: set(), VALIDATION: set()}
    for sentence in read_sentences(tmp_path / "out"):
        pages[sentence.split].add(sentence.page_id)
    assert len(pages[TRAIN] & pages[VALIDATION]) > 20


def test_fitted_balance_and_a_cap(sample: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, balance="fit", max_copies=2)
    manifest = build_corpus(plan(sample, tmp_path / "out"), settings).manifest
    train = list(read_sentences(tmp_path / "out", TRAIN))
    assert manifest["balance"]["method"] == "fit"
    assert max(sentence.expected_copies for sentence in train) <= 2
    assert sum(sentence.expected_copies for sentence in train) == pytest.approx(len(train))
    impossible = replace(SETTINGS, max_copies=1, sample_size=100_000)
    with pytest.raises(SettingsError, match="sample_size = 100000: with max_copies = 1"):
        build_corpus(plan(sample, tmp_path / "more"), impossible)
    with pytest.raises(SettingsError, match="a sentence would get"):
        build_corpus(plan(sample, tmp_path / "more"), replace(SETTINGS, sample_size=90_000_000_000_000))


@pytest.mark.parametrize("language", ["", "it"])
def test_dumps_of_two_wikis_are_refused(sample: Path, tmp_path: Path, language: str) -> None:
    xml = (sample / "wiki.xml").read_text()
    (tmp_path / "other.xml").write_text(xml.replace("samplewiki", "otherwiki"))
    two = CorpusPlan((sample / "wiki.xml", tmp_path / "other.xml"), (sample / "knowledge",), tmp_path / "out")
    with pytest.raises(InputError, match=r"other\.xml: of otherwiki, wiki\.xml of samplewiki"):
        build_corpus(two, replace(SETTINGS, language=language))


def test_two_dumps_of_one_wiki_are_one_corpus(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    """A dump cut in two after its tenth page gives the same sentences."""
    xml = (sample / "wiki.xml").read_text()
    head, pages = xml[: xml.index("<page>")], xml[xml.index("<page>") : xml.rindex("</mediawiki>")]
    cut = [match.end() for match in re.finditer("</page>", pages)][9]
    for name, part in (("a.xml", pages[:cut]), ("b.xml", pages[cut:])):
        (tmp_path / name).write_text(f"{head}{part}</mediawiki>")
    two = CorpusPlan((tmp_path / "a.xml", tmp_path / "b.xml"), (sample / "knowledge",), tmp_path / "out")
    manifest = build_corpus(two, SETTINGS).manifest
    assert [each["file"] for each in manifest["inputs"]] == ["a.xml", "b.xml"]
    assert [s.id for s in read_sentences(tmp_path / "out")] == [s.id for s in read_sentences(sample_corpus)]


def test_no_dump_and_bad_knowledge_are_told_at_once(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dump given"):
        build_corpus(CorpusPlan((), (sample / "knowledge",), tmp_path / "out"), SETTINGS)
    cut = (sample / "wiki.xml").read_text().replace("<ns>0</ns>", "<ns>zero</ns>", 1)
    (tmp_path / "cut.xml").write_text(cut)
    with pytest.raises(InputError, match="no such file or folder"):
        build_corpus(CorpusPlan((tmp_path / "cut.xml",), (tmp_path / "none",), tmp_path / "out"), SETTINGS)


def test_too_high_a_bound_names_the_largest_category(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(NerbertError, match=r"the most frequent category, city, has \d+ mentions; take a smaller"):
        build_corpus(plan(sample, tmp_path / "out"), CorpusSettings(min_mentions=5000))


def test_a_file_given_twice_is_refused(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "link.xml").symlink_to(sample / "wiki.xml")
    twice = CorpusPlan((sample / "wiki.xml", tmp_path / "link.xml"), (sample / "knowledge",), tmp_path / "out")
    with pytest.raises(InputError, match=r"link\.xml: given twice; give each file once"):
        build_corpus(twice, SETTINGS)
    with pytest.raises(InputError, match="standard input: given twice"):
        build_corpus(CorpusPlan(("-", "-"), (sample / "knowledge",), tmp_path / "out"), SETTINGS)


def test_an_empty_dump_is_an_empty_corpus(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "dump.xml").write_text("<mediawiki></mediawiki>\n")
    empty = CorpusPlan((tmp_path / "dump.xml",), (sample / "knowledge",), tmp_path / "out")
    reason = "the corpus would be empty: no sentence of the train part has a link; give a larger dump"
    with pytest.raises(NerbertError, match=rf"{reason}, or a smaller --set validation_ratio\n"):
        build_corpus(empty, SETTINGS)
    with pytest.raises(NerbertError, match=rf"{reason}\n"):
        build_corpus(empty, replace(SETTINGS, validation_ratio=0.0))


def test_what_a_failed_build_leaves_is_told(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["corpus", "build", str(sample / "wiki.xml"), "--knowledge", str(sample / "knowledge"), "-o", "out"]
    with pytest.raises(SystemExit):
        main([*words, "--set", "min_mentions=5000"])
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.endswith("; .out.partial and .out.work stay: rerun the command to resume, or delete both")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.partial", ".out.work"]


def test_a_card_is_written_into_the_unfinished_folder(sample: Path, tmp_path: Path) -> None:
    plan_ = plan(sample, tmp_path / "out")

    def card(folder: Path, built: BuiltCorpus) -> None:
        assert built.folder == plan_.output
        assert not plan_.output.exists()
        (folder / "CARD").write_text(built.manifest["wiki"])

    def failing(folder: Path, built: BuiltCorpus) -> None:
        raise NerbertError(f"{folder.name}: no card")

    with pytest.raises(NerbertError, match=r": no card"):
        build.build_corpus(plan_, SETTINGS, failing)
    assert not plan_.output.exists()
    build.build_corpus(plan_, SETTINGS, card)
    assert (plan_.output / "CARD").read_text() == "samplewiki"
    assert not (plan_.output / "README.md").exists()


def test_an_index_is_no_dump_and_changes_no_sentence(shared: Path, sample: Path, tmp_path: Path) -> None:
    wiki = shared / "data/wiki"
    dump, index = (wiki / f"dewiki-sample-pages-articles-multistream{end}.bz2" for end in (".xml", "-index.txt"))
    types = (shared / "data/types/combined.tsv.xz",)
    settings = CorpusSettings(split_bytes=300_000, keep_untyped=True, min_mentions=0)
    with_index = build_corpus(CorpusPlan((index, dump), types, tmp_path / "one"), settings).manifest
    build_corpus(CorpusPlan((dump,), types, tmp_path / "other"), settings)
    assert [each["index"]["file"] for each in with_index["inputs"]] == [index.name]
    assert [s.id for s in read_sentences(tmp_path / "one")] == [s.id for s in read_sentences(tmp_path / "other")]
    with pytest.raises(InputError, match=r"an index without its dump, dewiki-sample.*give that too"):
        build_corpus(CorpusPlan((index, sample / "wiki.xml"), types, tmp_path / "out"), settings)


def run_nerbert(*words: object, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "nerbert", *map(str, words)], input=data, capture_output=True, check=False
    )


@pytest.mark.parametrize("pack", [bytes, bz2.compress, gzip.compress])
def test_standard_input_on_the_command_line(
    sample_corpus: Path, sample: Path, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    data = pack((sample / "wiki.xml").read_bytes())
    rest = ("--knowledge", sample / "knowledge", "-o", tmp_path / "out", "--set", "min_mentions=5", "--workers", 2)
    done = run_nerbert("corpus", "build", "-", *rest, data=data)
    assert done.returncode == 0, done.stderr
    assert [s.id for s in read_sentences(tmp_path / "out")] == [s.id for s in read_sentences(sample_corpus)]
    (given,) = read_manifest(tmp_path / "out")["inputs"]
    assert given["file"] == "-"
    assert given["sha256"] == hashlib.sha256(data).hexdigest()


def test_an_option_that_is_none_is_told(sample: Path, tmp_path: Path) -> None:
    done = run_nerbert(
        "corpus", "build", "--knwledge", "k", "--knowledge", sample / "knowledge", "-o", tmp_path / "out"
    )
    assert (done.returncode, b"--knwledge: no such option or dump" in done.stderr) == (1, True)


def test_the_help_says_what_is_read() -> None:
    told = run_nerbert("corpus", "build", "--help").stdout.decode()
    for word in (".xml.bz2", ".xml.gz", ".xml.xz", "nerbert[remote]", "standard input", "-index.txt.bz2"):
        assert word in told


def test_addresses_are_read_on_the_command_line(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    plan_ = CorpusPlan((f"file://{sample}/wiki.xml",), (sample / "knowledge",), tmp_path / "out")
    with LocalExecutor(2) as executor:
        manifest = build_corpus(plan_, CorpusSettings(min_mentions=5, split_bytes=20_000), executor).manifest
    assert "sha256" not in manifest["inputs"][0]
    assert manifest["inputs"][0]["parts"] > 5
    assert [s.id for s in read_sentences(tmp_path / "out")] == [s.id for s in read_sentences(sample_corpus)]


PAGES = {
    "Nansen": "'''Nansen''' saw [[Mercury]] with [[Venus]], [[Moved]], [[Jack Dawson]] and [[Ada]] at [[Named]] here.",
    "Mercury": "{{disambig}}\n* [[Mercury (planet)]]\n* [[Mercury (god)]]\n",
    "Venus": "{{disambig}}\n'''Venus''' may be many things.\n* [[Venus (planet)]]\n",
    "Moved": "#REDIRECT [[Moved (town)]]",
    "Moved (town)": "The '''Moved''' town is here.",
    "Named": "#REDIRECT [[Mercury]]",
    "Jack Dawson": "#REDIRECT [[Titanic#Characters]]",
    "Titanic": "{{Infobox film}}\n'''Titanic''' is a film by [[Nansen]].",
    "Ada": "{{Infobox person}}\n\n[[Category:X]]\n",
}
TYPES = {"Mercury": "Planet", "Venus": "Planet", "Moved": "Town", "Named": "Ship", "Nansen": "Person"}


def lay_small_wiki(folder: Path) -> CorpusPlan:
    """A dump with pages that lead elsewhere, and what is known of them."""
    text = '<mediawiki xml:lang="en"><siteinfo><dbname>enwiki</dbname></siteinfo>'
    for number, (title, source) in enumerate(PAGES.items(), 1):
        target = source.partition("[[")[2].partition("]]")[0].partition("#")[0]
        redirect = f'<redirect title="{target}" />' if source.startswith("#") else ""
        text += f"<page><title>{title}</title><ns>0</ns><id>{number}</id>{redirect}"
        text += f"<revision><id>{number}</id><text>{source}</text></revision></page>\n"
    (folder / "wiki.xml").write_text(text + "</mediawiki>")
    (folder / "t.tsv").write_text("title\tclass\n" + "".join(f"{title}\t{name}\n" for title, name in TYPES.items()))
    mapped = {"Infobox film": "Film", "Infobox person": "Person"}
    pages = "".join(
        f"<page><title>Mapping en:{name}</title><revision><text>{{{{TemplateMapping|mapToClass={to}}}}}</text>"
        "</revision></page>"
        for name, to in mapped.items()
    )
    (folder / "m.xml").write_text(f"<mediawiki>{pages}</mediawiki>")
    return CorpusPlan((folder / "wiki.xml",), (folder / "t.tsv", folder / "m.xml"), folder / "out")


def test_pages_that_lead_elsewhere(tmp_path: Path) -> None:
    plan, settings = lay_small_wiki(tmp_path), CorpusSettings(min_mentions=1, validation_ratio=0.0, split_bytes=300)
    manifest = build_corpus(plan, settings).manifest
    rows = pq.read_table(tmp_path / "out" / "targets").to_pylist()
    assert {row["target"]: (row["resolved_target"], "/".join(row["class_path"])) for row in rows} == {
        "Mercury": ("Mercury", ""), "Venus": ("Venus", ""), "Moved": ("Moved (town)", "Town"),
        "Jack Dawson": ("Jack Dawson", ""), "Ada": ("Ada", "Person"), "Named": ("Mercury", ""),
        "Nansen": ("Nansen", "Person"),
    }  # fmt: skip
    steps = {step["step"]: step for step in manifest["steps"]}
    assert steps["pages"]["dropped"] == {"redirect": 3, "empty_text": 2}
    assert (steps["disambiguation pages"]["in"], steps["disambiguation pages"]["out"]) == (4, 3)
    assert all(step["in"] == step["out"] + sum(step["dropped"].values()) for step in steps.values())
    assert manifest["notes"]["targets"] == {"found": 7, "typed": 3, "bad_redirects": 0}
    with LocalExecutor(2) as executor:
        build_corpus(replace(plan, output=tmp_path / "again"), settings, executor)
    assert digests(tmp_path / "again") == digests(tmp_path / "out")
