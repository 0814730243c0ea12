"""The road in Chinese, where a character is a word: a dump, lists of names in free text, stages, a tagger of brands."""

import json
from pathlib import Path
from random import Random

import pytest

from nerbert.corpus.shards import read_sentences
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
gazetteers = ["{folder}/coarse.tsv"]
gazetteer_match = "text"
epochs = 3
"""


def write_dump(path: Path) -> None:
    random, pages = Random(1), []
    for number in range(60):
        said = (
            sentence.format(brand=random.choice(BRANDS), other=random.choice(BRANDS), good=random.choice(GOODS))
            for sentence in SENTENCES
        )
        pages.append(
            f"<page><title>页{number}</title><ns>0</ns><id>{number + 1}</id><revision><id>{number + 1}</id>"
            f"<model>wikitext</model><text>这是第{number}页。{''.join(said)}</text></revision></page>"
        )
    head = '<mediawiki xml:lang="zh"><siteinfo><dbname>zhwiki</dbname></siteinfo>'
    path.write_text(f"{head}{''.join(pages)}</mediawiki>", encoding="utf-8")


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
    write_dump(tmp_path / "dump.xml")
    rows = [*((brand, "Company") for brand in BRANDS), *((good, "Product") for good in GOODS)]
    titles = tmp_path / "titles.tsv"
    titles.write_text("".join(f"{title}\t{name}\n" for title, name in rows), encoding="utf-8")
    (tmp_path / "labels.tsv").write_text("Company\tbrand\nProduct\tproduct\n")
    build = ["--knowledge", titles, "-o", tmp_path / "corpus", "--set", "min_mentions=1", "--set", "label_set=dbpedia"]
    assert exit_code("corpus", "build", tmp_path / "dump.xml", *build) == 0
    assert all(len(word) == 1 for each in read_sentences(tmp_path / "corpus") for word in _words(each.text, each.words))

    lists = [titles, "--label-set", tmp_path / "labels.tsv", "--language", "zh", "-o", tmp_path / "coarse.tsv"]
    assert exit_code("knowledge", "gazetteer", *lists) == 0
    assert sorted(line.split("\t")[0] for line in (tmp_path / "coarse.tsv").read_text("utf-8").splitlines()) == sorted(
        (*BRANDS, *GOODS)
    )
    (tmp_path / "s.toml").write_text(SETTINGS.format(folder=tmp_path))
    assert exit_code("pretrain", tmp_path / "s.toml", "-o", tmp_path / "cofee") == 0
    card = json.loads((tmp_path / "cofee" / "NEE" / "nerbert.json").read_text())
    assert (card["language"], card["label_set"]["match"], card["categories"]) == ("zh", "text", 2)
    assert card["validation"]["typed_f1"] > 0.9, "unlinked names are found too"

    write_data(tmp_path / "data")
    tuning = [f"--set={each}" for each in ("epochs=10", "min_steps=0", "learning_rate=3e-3", "threads=1")]
    encoder = tmp_path / "cofee" / "NEE"
    assert exit_code("finetune", encoder, "--data", tmp_path / "data", "-o", tmp_path / "tagger", *tuning) == 0
    capsys.readouterr()
    assert exit_code("evaluate", tmp_path / "tagger", tmp_path / "data", "--json") == 0
    assert json.loads(capsys.readouterr().out)["f1"] > 0.9


def _words(text: str, words: tuple[tuple[int, int], ...]) -> list[str]:
    return [text[start:end] for start, end in words if not text[start:end].isascii()]
