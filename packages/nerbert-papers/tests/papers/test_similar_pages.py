"""The nearest pages of dumps and corpora, against scikit-learn's own TF-IDF."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nerbert
from nerbert.corpus.shards import PageLines
from nerbert.errors import InputError, OutputExists, SettingsError
from nerbert.executors import LocalExecutor
from nerbert_papers.similar_pages import near_pages, source_parts

pytestmark = pytest.mark.extras
WANTED = "The ship left the harbour.\nA captain sailed the sea with his crew.\n"


def pages_of(source: Path) -> list[PageLines]:
    return [page for part in source_parts([str(source)]) for page in part()]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_similarities_are_those_of_scikit_learn(sample_corpus: Path, tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    (tmp_path / "ships.txt").write_text(WANTED)
    read, found = near_pages([str(tmp_path / "ships.txt")], [str(sample_corpus)], tmp_path / "out.jsonl", 7)
    pages = pages_of(sample_corpus)
    texts = ["\n".join(page.lines) for page in pages]
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit(texts)
    # words that no page has count there too, with the largest weight: a vocabulary of both
    vectorizer.vocabulary_, vectorizer.idf_ = _with_words_of(vectorizer, WANTED.splitlines(), len(texts))
    wanted = np.asarray(vectorizer.transform(WANTED.splitlines()).sum(axis=0)).ravel()
    similar = np.asarray(vectorizer.transform(texts) @ wanted).ravel() / np.linalg.norm(wanted)
    order = np.argsort(-similar, kind="stable")[:7]
    kept = rows(tmp_path / "out.jsonl")
    assert read == len(pages)
    assert [each["title"] for each in kept] == [pages[place].title for place in order]
    assert [each["similarity"] for each in kept] == pytest.approx(similar[order], abs=2e-3)
    assert found == pytest.approx(similar[order].tolist(), abs=2e-3)
    assert kept[0].keys() == {"text", "wiki", "page_id", "revision", "title", "similarity"}
    assert kept[0]["text"] == texts[order[0]]


def _with_words_of(vectorizer: Any, texts: list[str], pages: int) -> Any:
    known = dict(vectorizer.vocabulary_)
    words = {word for text in texts for word in vectorizer.build_analyzer()(text)} - known.keys()
    known |= {word: len(known) + place for place, word in enumerate(sorted(words))}
    return known, np.append(vectorizer.idf_, np.full(len(words), np.log(1 + pages) + 1))


def test_a_dump_gives_its_articles(sample: Path, tmp_path: Path) -> None:
    dump = sample / "wiki.xml"
    pages = pages_of(dump)
    assert len({page.page_id for page in pages}) == len(pages) > 20
    assert sum(bool("".join(page.lines)) for page in pages) > 20
    assert not [line for page in pages for line in page.lines if "'''" in line]
    (tmp_path / "ships.txt").write_text(WANTED)
    read, found = near_pages([str(tmp_path / "ships.txt")], [str(dump)], tmp_path / "out.jsonl", 10_000)
    assert read == len(found) == len(pages)
    assert sorted(each["title"] for each in rows(tmp_path / "out.jsonl")) == sorted(page.title for page in pages)
    near_pages([str(tmp_path / "ships.txt")], [str(dump)], tmp_path / "out.jsonl", 1, overwrite=True)
    assert len(rows(tmp_path / "out.jsonl")) == 1


def test_a_corpus_gives_whole_pages_without_excluded_sentences(sample: Path, tmp_path: Path) -> None:
    whole = {page.title: " ".join(page.lines).split() for page in pages_of(sample / "wiki.xml")}
    secret = next(" ".join(words[:12]) for words in whole.values() if len(words) > 99)
    (tmp_path / "secret.txt").write_text(secret)
    built = nerbert.build_corpus(
        sample / "wiki.xml",
        sample / "knowledge",
        tmp_path / "corpus",
        min_mentions=5,
        exclude=[tmp_path / "secret.txt"],
    )
    pages = {page.title: " ".join(page.lines) for page in pages_of(built.folder)}
    assert not any(secret[:60] in text for text in pages.values())
    kept = sum(len(text.split()) for text in pages.values())
    assert kept > 0.95 * sum(len(whole[title]) for title in pages)
    (built.folder / "dropped.jsonl").write_text("")
    with pytest.raises(InputError, match="doesn't list all excluded sentences"):
        pages_of(built.folder)


def test_workers_change_nothing(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "ships.txt").write_text(WANTED)
    given = [str(tmp_path / "ships.txt")], [str(sample_corpus), str(sample / "wiki.xml")]
    near_pages(*given, tmp_path / "one.jsonl", 30)
    with LocalExecutor(2) as executor:
        near_pages(*given, tmp_path / "two.jsonl", 30, executor)
    assert (tmp_path / "one.jsonl").read_text() == (tmp_path / "two.jsonl").read_text()


def test_bad_input_is_one_line(sample_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("\n…\n")
    (tmp_path / "some.txt").write_text("A ship.")
    corpus, output = str(sample_corpus), tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="no word in the sentences: give texts"):
        near_pages([str(tmp_path / "none.txt")], [corpus], output, 5)
    with pytest.raises(SettingsError, match="pages = 0: must be at least 1"):
        near_pages([str(tmp_path / "some.txt")], [corpus], output, 0)
    with pytest.raises(InputError, match="gone"):
        near_pages([str(tmp_path / "some.txt")], ["gone.xml"], output, 5)
    assert not output.exists()
    output.write_text("mine")
    with pytest.raises(OutputExists):
        near_pages([str(tmp_path / "some.txt")], [corpus], output, 5)
    assert output.read_text() == "mine"
