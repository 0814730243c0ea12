"""Real pages of thirty Wikipedias: few links are lost at words, and no markup is left."""

from pathlib import Path

import pytest

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.rows import PageRows
from nerbert.corpus.settings import CorpusSettings

LANGUAGES = (
    "am az bn cs da es et fa fi fr hi hu ja kk ml mr my nl pl ro ru sr sv ta te tr uk ur vi zh"
).split()  # fmt: skip
MOST = 0.02
MARKUP = ("[[", "]]", "{{", "}}", "''", "<", "__", "|", "-{", "}-", "&nbsp;")


@pytest.mark.parametrize("language", LANGUAGES)
def test_few_links_cut_a_word(language: str, shared: Path) -> None:
    dump = Dump(shared / "data" / "wiki" / "minidumps" / f"{language}.xml")
    rows = PageRows(dump.site, CorpusSettings())
    for number, page in enumerate(dump.pages()):
        rows.add(page, number)
    sentences, _ = rows.take()
    links = rows.report.links
    assert links["kept"]
    assert language == "am" or not rows.report.grown  # link trails are enough but where particles precede names
    assert links["cuts_a_word"] <= MOST * (links["cuts_a_word"] + links["kept"])
    for text in sentences["text"].to_pylist():
        assert not [mark for mark in MARKUP if mark in text]
