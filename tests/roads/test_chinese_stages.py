"""The road in Chinese, where a character is a word: a dump, lists of names in free text, stages, a tagger of brands.

By day the sentences are made up; the slow test has real titles of goods.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from nerbert.corpus.shards import read_sentences
from nerbert.formats.examples import read_examples
from nerbert.records import Example
from tests.commands import exit_code

BRANDS, GOODS = ("华为", "小米", "安踏", "李宁"), ("手机", "运动鞋", "电视机", "背包")
SENTENCES = (
    "[[{brand}]]的[[{good}]]很受欢迎。",
    "今年[[{brand}]]推出了新的[[{good}]]，价格是三百元。",
    "他在北京买了[[{good}]]，牌子是{brand}。",
    "{brand}和[[{other}]]都卖{good}。",
)
SETTINGS = """
corpus = "{folder}/corpus"
cache = "{folder}/cache"
batch_size = 16
learning_rate = 3e-3
precision = "fp32"
threads = 1
max_length = 64
fresh_num_layers = 1
fresh_hidden_size = 64
fresh_vocab_size = 300

[[stages]]
name = "ESI"
label_set = "1type"
epochs = 2

[[stages]]
name = "NEE"
objective = "self_training"
gazetteers.files = ["{folder}/coarse.tsv"]
gazetteers.match = "text"
epochs = 3
"""
FINE = """
[[stages]]
name = "FET"
objective = "typing"
gazetteers.files = ["{folder}/coarse.tsv"]
gazetteers.match = "text"
typing.dimensions = 32
epochs = 2
"""
LINKABLE = re.compile(r"[\u4e00-\u9fffA-Za-z0-9]{2,}")


def made_up() -> list[str]:
    random = Random(1)
    return [
        "".join(
            sentence.format(brand=random.choice(BRANDS), other=random.choice(BRANDS), good=random.choice(GOODS))
            for sentence in SENTENCES
        )
        for _ in range(60)
    ]


def encoder_of(
    folder: Path, pages: Sequence[str], names: Iterable[tuple[str, str]], settings: str, *changes: str
) -> Path:
    """Pre-train in stages on a dump of pages, by a list of the names (name, class); return the stages' folder."""
    texts = "".join(
        f"<page><title>页{number}</title><ns>0</ns><id>{number + 1}</id><revision><id>{number + 1}</id>"
        f"<model>wikitext</model><text>这是第{number}页。{page}</text></revision></page>"
        for number, page in enumerate(pages)
    )
    head = '<mediawiki xml:lang="zh"><siteinfo><dbname>zhwiki</dbname></siteinfo>'
    (folder / "dump.xml").write_text(f"{head}{texts}</mediawiki>", encoding="utf-8")
    titles = folder / "titles.tsv"
    titles.write_text("".join(f"{title}\t{name}\n" for title, name in names), encoding="utf-8")
    (folder / "labels.tsv").write_text("Company\tbrand\nProduct\tproduct\n")
    build = ["--knowledge", titles, "-o", folder / "corpus", "--set", "min_mentions=1", "--set", "label_set=dbpedia"]
    assert exit_code("corpus", "build", folder / "dump.xml", *build) == 0
    assert all(len(word) == 1 for each in read_sentences(folder / "corpus") for word in _words(each.text, each.words))
    lists = [titles, "--label-set", folder / "labels.tsv", "--language", "zh", "-o", folder / "coarse.tsv"]
    assert exit_code("knowledge", "gazetteer", *lists) == 0
    (folder / "s.toml").write_text(settings.format(folder=folder))
    assert exit_code("pretrain", folder / "s.toml", "-o", folder / "cofee", *changes) == 0
    return folder / "cofee"


def write_data(folder: Path) -> None:
    """Annotated titles of goods, a character a line."""
    folder.mkdir()
    random = Random(2)
    for split, many in (("train", 40), ("dev", 10), ("test", 20)):
        lines = []
        for _ in range(many):
            for text, type_ in (
                ("正品", ""),
                (random.choice(BRANDS), "HP"),
                ("新款", ""),
                (random.choice(GOODS), "HC"),
            ):
                tags = [f"{'I' if place else 'B'}-{type_}" if type_ else "O" for place in range(len(text))]
                lines += [f"{character}\t{tag}" for character, tag in zip(text, tags, strict=True)]
            lines.append("")
        (folder / f"{split}.conll").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_from_a_chinese_dump_to_a_tagger_of_brands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [*((brand, "Company") for brand in BRANDS), *((good, "Product") for good in GOODS)]
    encoder = encoder_of(tmp_path, made_up(), names, SETTINGS) / "NEE"
    assert sorted(line.split("\t")[0] for line in (tmp_path / "coarse.tsv").read_text("utf-8").splitlines()) == sorted(
        (*BRANDS, *GOODS)
    )
    card = card_of(encoder)
    assert (card["language"], card["label_set"]["match"], card["categories"]) == ("zh", "text", 2)
    assert card["validation"]["typed_f1"] > 0.9, "unlinked names are found too"

    write_data(tmp_path / "data")
    assert f1_of(encoder, tmp_path / "data", capsys) > 0.9


@pytest.mark.nightly
def test_three_stages_on_real_titles(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The train split's names are links and a list, so the labels are good; the tagger is scored on the test split."""
    data = shared / "data/ner/ecommerce_zh"
    titles = read_examples(data / "train.conll")[:2000]
    classes = {"HP": "Company", "HC": "Product"}
    names = {text: classes[type_] for each in titles for text, type_ in _names(each)}
    linked = ["".join(map(_linked, titles[first : first + 10])) for first in range(0, len(titles), 10)]
    cofee = encoder_of(
        tmp_path, linked, names.items(), SETTINGS + FINE, "--set=epochs=5", "--set=fresh_vocab_size=3000"
    )
    esi, nee, fet = (card_of(cofee / name) for name in ("ESI", "NEE", "FET"))
    assert (esi["settings"]["backbone"], nee["settings"]["backbone"], fet["settings"]["backbone"]) == (
        "fresh", "ESI", "NEE",
    )  # fmt: skip
    assert nee["categories"] == fet["categories"] == 2
    (tmp_path / "data").mkdir()
    for split, many in (("train", 400), ("test", 498)):
        some = (data / f"{split}.conll").read_text(encoding="utf-8").split("\n\n")[:many]
        (tmp_path / "data" / f"{split}.conll").write_text("\n\n".join(some) + "\n", encoding="utf-8")
    assert esi["validation"]["span_f1"] > 0.15, "0.25 when it was written"
    assert min(each["validation"]["typed_f1"] for each in (nee, fet)) > 0.15, "0.25 and 0.28"
    assert f1_of(cofee / "FET", tmp_path / "data", capsys) > 0.1, "0.18"


def _names(title: Example) -> list[tuple[str, str]]:
    """The names of a title, and their types, without what a link can't lead to."""
    texts = ((title.text[each.start : each.end].replace(" ", ""), each.type) for each in title.spans)
    return [(text, type_) for text, type_ in texts if LINKABLE.fullmatch(text)]


def _linked(title: Example) -> str:
    """A title as a sentence of wikitext; characters that may mean something there are left out."""
    text, end = "", 0
    for each in title.spans:
        name = title.text[each.start : each.end].replace(" ", "")
        text += _plain(title.text[end : each.start]) + (f"[[{name}]]" if LINKABLE.fullmatch(name) else _plain(name))
        end = each.end
    return text + _plain(title.text[end:]) + "。"


def _plain(text: str) -> str:
    return re.sub(r"[^\u4e00-\u9fffA-Za-z0-9，、（）.+-]", "", text.replace("_EMPTY_", ""))


def card_of(encoder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((encoder / "nerbert.json").read_text(encoding="utf-8"))
    return card


def f1_of(encoder: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> float:
    """F1 on the test split of a tagger that the train split makes."""
    tuning = [f"--set={each}" for each in ("epochs=10", "min_steps=0", "learning_rate=3e-3", "threads=1")]
    assert exit_code("finetune", encoder, "--data", data, "-o", data.parent / "tagger", *tuning) == 0
    capsys.readouterr()
    assert exit_code("evaluate", data.parent / "tagger", data, "--json") == 0
    return float(json.loads(capsys.readouterr().out)["f1"])


def _words(text: str, words: tuple[tuple[int, int], ...]) -> list[str]:
    return [text[start:end] for start, end in words if not text[start:end].isascii()]
