"""The road in Chinese, where a character is a word: a dump, a list of names, stages."""

import json
from pathlib import Path
from random import Random

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
gazetteers.files = ["{folder}/coarse.tsv"]
epochs = 3
"""


def write_dump(folder: Path) -> None:
    """Write a dump of made-up pages, and a list of the names in them with their classes."""
    random, texts = Random(1), ""
    for number in range(1, 61):
        names = [
            {"brand": random.choice(BRANDS), "other": random.choice(BRANDS), "good": random.choice(GOODS)}
            for _ in SENTENCES
        ]
        page = "".join(sentence.format(**some) for sentence, some in zip(SENTENCES, names, strict=True))
        texts += (
            f"<page><title>页{number}</title><ns>0</ns><id>{number}</id><revision><id>{number}</id>"
            f"<model>wikitext</model><text>这是第{number}页。{page}</text></revision></page>"
        )
    head = '<mediawiki xml:lang="zh"><siteinfo><dbname>zhwiki</dbname></siteinfo>'
    (folder / "dump.xml").write_text(f"{head}{texts}</mediawiki>", encoding="utf-8")
    rows = [f"{name}\t{kind}\n" for kind, some in (("Company", BRANDS), ("Product", GOODS)) for name in some]
    (folder / "titles.tsv").write_text("".join(rows), encoding="utf-8")
    (folder / "labels.tsv").write_text("Company\tbrand\nProduct\tproduct\n")


def test_from_a_chinese_dump_to_an_encoder_of_brands(tmp_path: Path) -> None:
    titles, corpus, coarse = (tmp_path / name for name in ("titles.tsv", "corpus", "coarse.tsv"))
    write_dump(tmp_path)
    build = ["--knowledge", titles, "-o", corpus, "--set", "min_mentions=1", "--set", "label_set=dbpedia"]
    assert exit_code("corpus", "build", tmp_path / "dump.xml", *build) == 0
    words = [each.text[start:end] for each in read_sentences(corpus) for start, end in each.words]
    assert all(len(word) == 1 for word in words if not word.isascii())
    lists = [titles, "--label-set", tmp_path / "labels.tsv", "--language", "zh", "-o", coarse]
    assert exit_code("knowledge", "gazetteer", *lists) == 0
    names = [line.split("\t")[0] for line in coarse.read_text("utf-8").splitlines()]
    assert sorted(names) == sorted((*BRANDS, *GOODS))
    (tmp_path / "s.toml").write_text(SETTINGS.format(folder=tmp_path))
    assert exit_code("pretrain", tmp_path / "s.toml", "-o", tmp_path / "cofee") == 0
    card = json.loads((tmp_path / "cofee" / "NEE" / "nerbert.json").read_text(encoding="utf-8"))
    assert (card["language"], card["label_set"]["name"], card["categories"]) == ("zh", "gazetteers", 2)
