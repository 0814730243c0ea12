"""Texts without labels: documents, blocks of their lines, and a training on them."""

import json
from pathlib import Path

import pytest

from nerbert.encoder.plain_texts import PlainTexts, open_blocks, pack_lines
from nerbert.encoder.pretrain import pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.model.backbone import load_tokenizer
from nerbert.model.folder import find_named
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.render.cards import write_encoder_card
from nerbert.training.sections import make_settings
from tests.encoder.preparing import written
from tests.raised import raises

SMALL = {
    "backbone": "embedded",
    "num_layers": 1,
    "objective": "mlm",
    "threads": 1,
    "precision": "fp32",
    "epochs": 1,
    "max_length": 64,
}


def sentences(document: int, count: int = 5) -> list[str]:
    return [f"The ship number {document} sailed to the port of town {each}." for each in range(count)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with forty documents of five lines in a file, one more file, and rows of JSON."""
    folder = tmp_path / "texts"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_text("\n\n".join("\n".join(sentences(each)) for each in range(40)) + "\n\n\n")
    (folder / "more" / "b.txt").write_text("Alone  in\tits file.")
    written(folder / "more" / "rows.jsonl", ({"text": f"Row {n}. Two."} for n in range(9)))
    return folder


def documents(path: Path) -> list[list[str]]:
    source = PlainTexts([path])
    return [*source.documents(held_out=False), *source.documents(held_out=True)]


def pieces(length: int = 64) -> SubwordTokenizer:
    from transformers import AutoConfig

    return SubwordTokenizer(load_tokenizer("embedded"), AutoConfig.from_pretrained(find_named("embedded")), length)


def test_documents_are_what_lies_between_empty_lines_and_files(
    texts: Path, sample_corpus: Path, tmp_path: Path
) -> None:
    """Also sentences of tokens, and pages of a corpus."""
    wanted = [*map(sentences, range(40)), ["Alone in its file."], *([f"Row {number}. Two."] for number in range(9))]
    assert sorted(documents(texts)) == sorted(wanted)
    (tmp_path / "d.conll").write_text("Oslo\tB-x\nis\tO\n\nBig\tO\n")
    assert sorted(documents(tmp_path / "d.conll")) == [["Big"], ["Oslo is"]]
    pages = documents(sample_corpus)
    assert len(pages) > 20
    assert max(map(len, pages)) > 3
    assert len({line for lines in pages for line in lines}) > len(pages)


def test_blocks_are_whole_lines_of_one_document_and_fit(texts: Path) -> None:
    source, cut = PlainTexts([texts]), pieces()
    blocks = [block.text for block in source.blocks(cut)]
    lines = [line for lines in source.documents(held_out=False) for line in lines]
    assert sorted(" ".join(blocks).split()) == sorted(" ".join(lines).split()), "each word once"
    assert max(cut.counts(blocks)) <= cut.body
    ships = [{word for word in block.split() if word.isdigit()} for block in blocks if "number" in block]
    assert all(len(each) == 1 for each in ships), "no block has two documents"
    assert max(len(block.split(". ")) for block in blocks) > 2
    assert list(pack_lines(["a", "b", "long", "c"], [2, 3, 9, 1], 5)) == ["a b", "long", "c"]
    assert list(pack_lines(["a", "b"], [5, 5], 5)) == ["a", "b"]
    assert list(pack_lines([], [], 5)) == []


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


def test_messages(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "one.txt").write_text("The ship sailed.\n")
    (tmp_path / "greek.txt").write_text("\n\n".join(f"Το πλοίο {number} έφυγε από το λιμάνι" for number in range(50)))
    bad = {
        "gone": "no such file",
        "empty": "empty: contains no file with a known name",
        "blank.txt": "nothing to train on",
        "one.txt": "too few documents: none of them is held out",
        "greek.txt": " % of the subwords: are the texts of another language",
    }
    for name, words in bad.items():
        source = PlainTexts([tmp_path / name])
        with raises(InputError, words):
            open_blocks(source, pieces(), str(tmp_path / "cache"))
            source.held_out()
    for name, value in (("corpus", ["c"]), ("label_set", "4types")):
        settings = make_settings(PretrainSettings, SMALL | {"mlm": {"texts": [str(texts)]}, name: value})
        with raises(SettingsError, setting=name):
            pretrain(settings, tmp_path / "out")
