"""Texts without labels: documents, blocks of their lines, and a training on them."""

import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.config import make_settings
from nerbert.encoder.plain_texts import PlainTexts, open_blocks, packed
from nerbert.encoder.pretrain import pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.model.backbone import load_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.render.cards import write_encoder_card

SMALL = {"backbone": "embedded-mlm", "num_layers": 1, "objective": "mlm", "threads": 1, "precision": "fp32",
         "epochs": 1, "max_length": 64}  # fmt: skip


def sentences(document: int, count: int = 5) -> list[str]:
    return [f"The ship number {document} sailed to the port of town {each}." for each in range(count)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with forty documents of five lines in a file, one more file, and rows of JSON."""
    folder = tmp_path / "texts"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_text("\n\n".join("\n".join(sentences(each)) for each in range(40)) + "\n\n\n")
    (folder / "more" / "b.txt").write_text("Alone  in\tits file.")
    (folder / "more" / "rows.jsonl").write_text(
        "".join(json.dumps({"text": f"Row {n}. Two."}) + "\n" for n in range(9))
    )
    return folder


def documents(path: Path) -> list[list[str]]:
    source = PlainTexts([path])
    return [*source.documents(held_out=False), *source.documents(held_out=True)]


def pieces(length: int = 64) -> SubwordTokenizer:
    from transformers import AutoConfig

    from nerbert.model.folder import embedded

    return SubwordTokenizer(
        load_tokenizer("embedded-mlm"), AutoConfig.from_pretrained(embedded("embedded-mlm")), length
    )


def test_documents_are_what_lies_between_empty_lines_and_files(texts: Path) -> None:
    wanted = [*map(sentences, range(40)), ["Alone in its file."], *([f"Row {number}. Two."] for number in range(9))]
    assert sorted(documents(texts)) == sorted(wanted)


def test_sentences_of_tokens_and_pages_of_a_corpus_are_documents(
    sample: Path, sample_corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "d.conll").write_text("Oslo\tB-x\nis\tO\n\nBig\tO\n")
    assert sorted(documents(tmp_path / "d.conll")) == [["Big"], ["Oslo is"]]
    pages = documents(sample_corpus)
    assert len(pages) > 20
    assert max(map(len, pages)) > 3
    assert len({line for lines in pages for line in lines}) > len(pages)
    assert (sample / "domain").is_dir()


def test_blocks_are_whole_lines_of_one_document_and_fit(texts: Path) -> None:
    source, cut = PlainTexts([texts]), pieces()
    blocks = [block.text for block in source.blocks(cut)]
    lines = [line for lines in source.documents(held_out=False) for line in lines]
    assert sorted(" ".join(blocks).split()) == sorted(" ".join(lines).split()), "each word once"
    assert max(cut.counts(blocks)) <= cut.body
    ships = [{word for word in block.split() if word.isdigit()} for block in blocks if "number" in block]
    assert all(len(each) == 1 for each in ships), "no block has two documents"
    assert max(len(block.split(". ")) for block in blocks) > 2


def test_a_line_that_is_longer_than_a_block_is_one_of_its_own() -> None:
    assert list(packed(["a", "b", "long", "c"], [2, 3, 9, 1], 5)) == ["a b", "long", "c"]
    assert list(packed(["a", "b"], [5, 5], 5)) == ["a", "b"]
    assert list(packed([], [], 5)) == []


def test_an_encoder_learns_from_texts(texts: Path, tmp_path: Path) -> None:
    given = SMALL | {"cache": str(tmp_path / "cache"), "mlm": {"texts": [str(texts)], "mask_style": "pairs"}}
    settings = make_settings(PretrainSettings, given)
    log = pretrain(settings, tmp_path / "out", card=write_encoder_card)
    assert log.entries[-1]["mlm_loss"] > 0
    card = json.loads((tmp_path / "out" / "nerbert.json").read_text())
    assert [each["file"] for each in card["texts"]] == ["a.txt", "more/b.txt", "more/rows.jsonl"]
    assert card["settings"]["mlm"]["texts"] == ["texts"]
    assert "corpus" not in card
    written = (tmp_path / "out" / "README.md").read_text()
    assert "# An encoder of texts of a domain" in written
    assert f"| `more/b.txt` | `{card['texts'][1]['sha256']}` |" in written


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"corpus": ["c"]}, "corpus = .*: must be left out with texts; name it among them"),
        ({"label_set": "4types"}, "label_set"),
    ],
)
def test_settings_that_do_not_go_together(texts: Path, tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    settings = make_settings(PretrainSettings, SMALL | {"mlm": {"texts": [str(texts)]}} | changes)
    with pytest.raises(SettingsError, match=why):
        pretrain(settings, tmp_path / "out")


def refused(path: Path, cache: Path) -> None:
    source = PlainTexts([path])
    open_blocks(source, pieces(), str(cache))
    source.held_out()


def test_bad_texts_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "one.txt").write_text("The ship sailed.\n")
    (tmp_path / "greek.txt").write_text("\n\n".join(f"Το πλοίο {number} έφυγε από το λιμάνι" for number in range(50)))
    bad = {
        "gone": "no such file", "empty": "empty: contains no file with a known name",
        "blank.txt": "nothing to train on", "one.txt": "too few documents: none of them is held out",
        "greek.txt": "doesn't know .* % of the subwords: are the texts of another language",
    }  # fmt: skip
    for name, why in bad.items():
        with pytest.raises(InputError, match=why):
            refused(tmp_path / name, tmp_path / "cache")


def test_versions_with_other_windows_share_a_cache(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has an entry of its own, which the other leaves alone."""
    from nerbert.encoder import plain_texts

    source, cache = PlainTexts((texts,)), tmp_path / "cache"

    def opened(version: int) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(plain_texts, "WINDOWS_FORMAT", version)
            return len(open_blocks(source, pieces(), str(cache)).windows)

    assert opened(2) == opened(3) > 0
    assert len(list((cache / "blocks").iterdir())) == 2
    monkeypatch.setattr(plain_texts, "_make", lambda *_, **__: pytest.fail("an entry was made again"))
    assert opened(2) == opened(3) == opened(2)
