"""Sources of a pre-training mixed: several corpora and files of open types, their shares, their own negatives."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert import pretrain
from nerbert.encoder.concept_table import ROOT, all_of
from nerbert.encoder.data import files_read
from nerbert.encoder.open_texts import OpenExample, is_held_out
from nerbert.encoder.pretrain import Preparation, dry_run
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.labels import fold_type
from nerbert.tables import read_columns
from nerbert.training.sections import change_settings, make_settings
from tests.encoder.corpora import cut
from tests.encoder.open_rows import marked
from tests.encoder.preparing import prepared, written
from tests.pages import front_of, said, section
from tests.raised import raises

SMALL: dict[str, Any] = {
    "objective": "concepts",
    "epochs": 1,
    "learning_rate": 1e-3,
    "batch_size": 16,
    "precision": "fp32",
    "threads": 1,
    "fresh_num_layers": 1,
    "fresh_hidden_size": 64,
    "fresh_vocab_size": 600,
    "max_length": 64,
    "max_eval_samples": 20,
}
NAMED = (("BRCA", "gene"), ("Ada Byron", "scientist"), ("Ada Byron", "person"), ("Oslo", "city"))
ROWS = [marked(f"The gene BRCA{number} was found by Ada Byron in Oslo.", *NAMED, asked="all") for number in range(60)]


@pytest.fixture
def open_file(tmp_path: Path) -> Path:
    lone = (marked(f"Ida Noddack found rhenium. {number}", ("Ida Noddack", "person")) for number in range(20))
    return written(tmp_path / "open.jsonl", [*ROWS, *lone])


@pytest.fixture(scope="session")
def german(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another part of the sample, as a corpus of another wiki in other words; read only."""
    folder = tmp_path_factory.mktemp("german") / "corpus"
    cut(sample_corpus, folder, lambda table: table.take([*range(5, len(table), 10)]))
    manifest = json.loads((folder / "manifest.json").read_text())
    classes = {"Settlement": {"label": "Siedlung"}, "City": {"label": "Stadt"}}
    changed = {"wiki": "dewiki", "language": "de", "word_splitter": "unicode-words-1", "classes": classes}
    (folder / "manifest.json").write_text(json.dumps(manifest | changed))
    return folder


def settings_of(tmp_path: Path, *corpora: Path, files: Sequence[Path] = (), **more: Any) -> PretrainSettings:
    """Settings with a cache that all tests share."""
    sections = {"open_types": {"files": list(files)}} if files else {}
    values = {"corpus": list(corpora), "cache": str(tmp_path.parent / "cache"), **SMALL, **sections, **more}
    return make_settings(PretrainSettings, values)


def counts_of(work: Preparation, epoch: int) -> list[int]:
    """How many windows of an epoch each source has: two corpora, then open types."""
    labels, windows = [*work.source.concepts.rows], work.data.windows  # type: ignore[union-attr]
    starts = [0, *windows.word_ends.tolist()]
    found = [0, 0, 0]
    for number in work.data.numbers_of(epoch).tolist():
        asked = {labels[label][1] for label in windows.labels[starts[number] : starts[number + 1]].tolist()}
        (source,) = {int(each[1]) for each in asked if each and not each[0]}
        found[source] += 1
    return found


def test_three_sources(few: Path, german: Path, open_file: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, few, german, files=[open_file])
    for _ in range(2):  # the second time from the cache
        work = prepared(settings)
        assert work.source.open_texts
        texts = work.source.open_texts.content.table
        assert (texts.ancestors("scientist"), texts.ancestors("gene")) == (("person",), ())
        assert work.source.concepts
        assert "person" in work.source.concepts.ancestors("scientist")
    source, table = work.source, work.source.concepts
    assert table
    assert [each.manifest["wiki"] for each in source.corpora] == [source.corpora[0].manifest["wiki"], "dewiki"]
    assert (source.language, source.word_splitter) == ("multilingual", "unicode-words-2")
    names = [{table.concepts[number].name for number in each} for each in table.sources]
    assert ROOT in names[0] & names[1]
    assert "gene" in names[2] - names[0] - names[1]
    held_out = source.held_out()
    assert all(isinstance(each, OpenExample) for each in held_out)
    sizes = [len(each.held_out()) for each in source.corpora]
    asked = [all_of(0)] * sizes[0] + [all_of(1)] * sizes[1]
    assert [each.asked for each in held_out] == asked + [None] * (len(held_out) - len(asked))
    assert len([*source.texts()]) == sum(len([*each.texts()]) for each in source.corpora) + texts.sentences
    assert files_read(settings) == [open_file, few / "manifest.json", german / "manifest.json"]
    gene = table.number_of("gene")
    known = table.masks([((), all_of(number)) for number in range(3)], np.array([gene]))[1]
    assert known[:, 0].tolist() == [False, False, True]
    assert all(counts_of(work, 0))


def test_the_class_and_the_name_of_the_ontology_are_synonyms(german: Path, tmp_path: Path) -> None:
    table = prepared(settings_of(tmp_path, german)).source.concepts
    assert table
    assert {"stadt", "city"} <= table.names_like("stadt")
    assert set(table.texts_of(table.number_of("stadt"))) == {"stadt", "city"}


def test_other_names_of_classes_are_cut_anew(few: Path, german: Path, tmp_path: Path) -> None:
    """Also where the table stays the same: of three classes with two names the second has the other one."""

    def named(**labels: str) -> list[int]:
        folder = tmp_path / "-".join(labels.values())
        shutil.copytree(german, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        classes = {"classes": {name: {"label": label} for name, label in labels.items()}}
        (folder / "manifest.json").write_text(json.dumps(manifest | classes))
        return counted(prepared(settings_of(tmp_path, few, folder)))

    def counted(work: Preparation) -> list[int]:
        return np.bincount(np.asarray(work.data.windows.labels)).tolist()  # type: ignore[no-any-return]

    kinds = ("Award", "ChemicalSubstance", "Currency")
    one, other = (named(**dict(zip(kinds, names, strict=True))) for names in (("aa", "aa", "bb"), ("aa", "bb", "bb")))
    assert one != other


def test_wordings_can_be_left_out(few: Path, tmp_path: Path) -> None:
    table = prepared(settings_of(tmp_path, few, wordings=False)).source.concepts
    assert table
    assert [table.texts_of(number) for number in range(len(table.concepts))] == [[each.text] for each in table.concepts]


@pytest.mark.parametrize(("shares", "expected"), [([1, 1, 2], [0.25, 0.25, 0.5]), ([8, 1, 1], [0.8, 0.1, 0.1])])
def test_shares(
    few: Path, german: Path, open_file: Path, tmp_path: Path, shares: list[float], expected: list[float]
) -> None:
    settings = settings_of(tmp_path, few, german, files=[open_file])
    plain, mixed, again = (prepared(change_settings(settings, each)) for each in ({}, *[{"shares": shares}] * 2))
    size = len(plain.data.numbers_of(0))
    for epoch in (0, 1):
        counts = counts_of(mixed, epoch)
        assert sum(counts) == pytest.approx(size, abs=2)
        assert counts == pytest.approx([share * size for share in expected], abs=1)
    drawn = [work.data.numbers_of(epoch).tolist() for work in (plain, mixed, again) for epoch in (0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[2:4] == drawn[4:]
    assert drawn[2] != drawn[3]


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"shares": [1]}, "shares", "must be a number for each source, 3: the corpora in order, then open"),
        ({"shares": [1, 1, 1, 1]}, "shares", "must be a number for each source, 3"),
        ({"shares": [1, 0, 1]}, "shares", ""),
        ({"shares": [1, -1, 1]}, "shares", ""),
        ({"corpus": ["a", "a"]}, "corpus", "must be different folders"),
        ({"corpus": [], "shares": [1, 1]}, "shares", "must be a number for each source, 1"),
        ({"shares": "all"}, "shares", ""),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], name: str, words: str) -> None:
    with raises(SettingsError, words, setting=name):
        change_settings(settings_of(tmp_path, Path("a"), Path("b"), files=[Path("c")]), changes)


def test_corpora_that_do_not_fit(few: Path, german: Path, tmp_path: Path) -> None:
    with raises(InputError, "nowhere"):
        prepared(settings_of(tmp_path, few, Path("nowhere"), shares=[1, 1]))
    for objective in ("tagging", "mlm"):
        with raises(SettingsError, "must be one folder", setting="corpus"):
            prepared(settings_of(tmp_path, few, german, objective=objective))


def test_the_card_says_what_holds_for_all_sources(few: Path, german: Path, open_file: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, few, german, files=[open_file], shares=[2, 1, 1], max_steps=2)
    assert dry_run(settings, tmp_path / "e").steps == 2
    pretrain(tmp_path / "e", settings)
    card = json.loads((tmp_path / "e" / "nerbert.json").read_text())
    assert "corpus" not in card
    assert [(each["wiki"], each["language"]) for each in card["corpora"]][1] == ("dewiki", "de")
    assert (card["language"], card["shares"]) == ("multilingual", [2.0, 1.0, 1.0])
    assert card["settings"]["corpus"] == [few.name, german.name]
    text = (tmp_path / "e" / "README.md").read_text()
    assert front_of(text).language == ["en", "de"]
    told = said(section(text, "What it was trained on"))
    assert told.count("made into a silver corpus") == 2
    assert "in the proportion 2.0 : 1.0 : 1.0" in told
    assert "drawn as often" not in told


def test_sources_that_disagree_about_what_is_broader(
    german: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The corpus has `place` above `stadt`; in the texts most places are marked as a town too."""

    both = (("Oslo", "place"), ("Oslo", "stadt"))
    rows = [marked(f"Oslo {n} is in Norway.", *(both if n < 60 else both[1:])) for n in range(120)]
    settings = settings_of(tmp_path, german, files=[written(tmp_path / "open.jsonl", rows)])
    work = prepared(settings)
    assert work.source.concepts
    assert work.source.concepts.contradictions == [("place", "stadt")]
    assert work.source.facts()["contradictions"] == 1
    assert capsys.readouterr().err.count("the sources disagree about which type is broader in 1 cases") == 1


def test_names_of_one_type_that_the_tokenizer_does_not_know_are_told_once(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [marked(f"Oslo {n}.", ("Oslo", "ཡུལ")) for n in range(40)]
    prepared(settings_of(tmp_path, few, files=[written(tmp_path / "open.jsonl", rows)]))
    told = capsys.readouterr().err
    assert told.count("open_types.files: has one type, 'ཡུལ': no other is known to be absent") == 1
    assert "warning: 1 of " in told
    assert "names of types, such as 'ཡུལ': the encoder's tokenizer knows none of their subwords" in told


def test_texts_of_which_nothing_is_known_are_counted(tmp_path: Path) -> None:
    rows = [*ROWS, *(marked(f"Nothing here {n}.", asked=[]) for n in range(30))]
    work = prepared(settings_of(tmp_path, files=[written(tmp_path / "open.jsonl", rows)]))
    trained = sum(not is_held_out(row["text"]) for row in rows[60:])
    assert work.source.facts()["open_types"]["texts_without_types"] == trained
    windows = work.data.windows
    empty = [*work.source.concepts.rows].index(((), ()))  # type: ignore[union-attr]
    starts = [0, *windows.word_ends.tolist()]
    silent = [n for n in range(len(windows)) if (windows.labels[starts[n] : starts[n + 1]] == empty).all()]
    assert len(silent) == trained
    step = work.objective.begin_step(windows, np.array(silent[:4]), 1)  # type: ignore[attr-defined]
    assert not step.tells.any()
    assert step.texts == []


def test_a_word_is_in_one_set() -> None:
    sets = [[*map(fold_type, cell.split(","))] for (cell,) in read_columns("synonyms.tsv", "names")]
    words = [word for each in sets for word in each]
    assert len(words) == len({*words})
    assert all(len(each) > 1 and all(each) for each in sets)
