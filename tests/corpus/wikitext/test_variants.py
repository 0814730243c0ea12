"""One variant of `-{…}-` is shown, as MediaWiki's language converters choose it; other wikis keep the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.wikitext.scan import clean_page
from nerbert.corpus.wikitext.variants import show_variant


@pytest.mark.parametrize(
    ("code", "source", "shown"),
    [
        ("zh", "a-{zh-hans:软件; zh-hant:軟體}-b", "a软件b"),
        ("zh", "-{zh-hant:軟體;zh-hans:软件;}-", "软件"),
        ("zh", "-{zh-tw:軟體;zh-cn:软件}-", "软件"),
        ("zh", "-{zh:通用; zh-hans:软件}-", "通用"),
        ("zh", "-{zh-hans:;zh-hant:個}-", "個"),
        ("zh", "-{A|zh-hans:软件; zh-hant:軟體}-", "软件"),
        ("zh", "x-{H|zh-hans:软件; zh-hant:軟體}-y", "xy"),
        ("zh", "-{T|zh-hans:软件; zh-hant:軟體}--{-|a}--{N|zh-cn}-", ""),
        ("zh", "-{zh-hans;zh-hant|一}-", "一"),
        ("zh", "-{乾}--{}-隆-{ }-", "乾隆 "),
        ("zh", "-{R|比 2:1; 是}-", "比 2:1; 是"),
        ("zh", "-{H|a=>zh-cn:b}--{c=>zh-cn:d}-", "d"),
        ("zh", "-{zh-hans:甲&nbsp;乙;zh-hant:丙}-", "甲&nbsp;乙"),
        ("zh", "-{zh-hans:a -{b}-;zh-hant:c}-", "a b"),
        ("zh", "-{zh-hans:{{lang|en|x}};zh-hant:[[c|d]]}-", "{{lang|en|x}}"),
        ("zh", "[[德国|-{zh-hans:联邦州; zh-hant:邦}-]]", "[[德国|联邦州]]"),
        ("zh", "-{{x}}- -{a", "-{{x}}- -{a"),
        ("sr", "-{TXL}- -{sr-el:da; sr-ec:да}-", "TXL да"),
        ("sr", "-{sr-Latn:da; sr-Cyrl:да}-", "да"),
        ("zh", "-{zh-Hant:軟體;zh-Hans:软件}--{ZH-TW:乙;ZH-CN:甲}--{zh-hans-cn:丙}-", "软件甲丙"),
        ("zh", "-{甲-{乙-{丙-{丁-{戊-{己}-}-}-}-}-}-", "甲乙丙丁戊己"),
        ("kk", "-{kk-arab:a;kk-cyrl:b}-", "b"),
        ("uz", "-{uz-cyrl:а;uz-latn:a}-", "a"),
        ("en", "-{a}- {{b}}", "-{a}- {{b}}"),
    ],
)
def test_one_variant_is_shown(code: str, source: str, shown: str) -> None:
    assert show_variant(source, code) == shown


def test_links_and_templates_in_variants_are_read() -> None:
    page = clean_page(
        "x", "是-{zh-hans:[[软件]]; zh-hant:[[軟體]]}-的<nowiki>-{a}-</nowiki>。", make_site("zhwiki", "zh", {})
    )
    assert (page.text, page.targets) == ("是软件的-{a}-。", ["软件"])


@given(st.lists(st.sampled_from(["-{", "}-", "-", "{", "}", "{{", "}}", "zh:", ";", "=>", "a", "|", "H"]), max_size=30))
def test_any_text_is_read(pieces: list[str]) -> None:
    source = "".join(pieces)
    shown = show_variant(source, "zh")
    assert len(shown) <= len(source)
    assert shown == source or "-{" in source


@pytest.mark.parametrize("piece", ["-{", "}-", "-{a", "-{;", "-{zh:a;", "-{{", "-{}-", ";=>", "-{{{a}}", "-{a|"])
def test_hostile_input_is_finished(piece: str) -> None:
    assert len(show_variant("-{" + piece * 50_000 + "}-", "zh")) <= 2 * len(piece) * 50_000
