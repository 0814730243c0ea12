"""A corpus is pushed with its card; what would be sent is looked at, nothing is sent."""

import shutil
from pathlib import Path

import pytest

from nerbert.corpus.export import push_corpus
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.errors import InputError
from tests.commands import exit_code
from tests.fake_hub import FakeHub
from tests.raised import raises


def test_a_corpus_is_a_data_set_of_the_hub_with_its_card(
    hub: FakeHub, sample_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("corpus", "push", sample_corpus, "me/ships", "--private") == 0
    assert capsys.readouterr().out == "https://hub/me/ships/commit/1\n"
    shards = list(read_manifest(sample_corpus)["shards"])
    _, made, (_, sent) = hub.calls
    assert made == ("create_repo", {"name": "me/ships", "repo_type": "dataset", "private": True, "exist_ok": True})
    assert sent["repo_type"] == "dataset"
    assert sent["delete_patterns"] == ["sentences/*"]
    pushed = hub.place / "me" / "ships"
    names = {each.relative_to(pushed).as_posix() for each in pushed.rglob("*") if each.is_file()}
    assert names == {"README.md", "manifest.json", "dropped.jsonl", *shards}
    assert list(read_sentences(pushed)) == list(read_sentences(sample_corpus)), "it is a corpus still"


@pytest.mark.extras
def test_datasets_loads_what_was_pushed(
    hub: FakeHub, sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_corpus(sample_corpus, "me/ships")
    pushed = hub.place / "me" / "ships"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(str(pushed), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": sum(1 for _ in read_sentences(pushed))}
    assert loaded["train"]["text"] == [each.text for each in read_sentences(pushed)]


def test_a_corpus_without_a_card_or_a_whole_shard_stays_here(hub: FakeHub, sample_corpus: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(sample_corpus, tmp_path / "corpus"))
    (corpus / "README.md").unlink()
    with raises(InputError, "has no card (README.md)"):
        push_corpus(corpus, "me/ships")
    shutil.copy(sample_corpus / "README.md", corpus)
    shard = corpus / next(iter(read_manifest(corpus)["shards"]))
    shard.write_bytes(shard.read_bytes()[:-1])
    with raises(InputError, "shard is missing or damaged"):
        push_corpus(corpus, "me/ships")
    assert hub.calls == []
