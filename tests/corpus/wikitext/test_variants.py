"""One variant of `-{…}-` is shown, as MediaWiki's language converters choose it; other wikis keep the text."""

import pytest

from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.wikitext.scan import scan_page, show_variant
from tests.expected import rows


@pytest.mark.parametrize(("code", "source", "shown"), rows(__file__, "variants"))
def test_one_variant_is_shown(code: str, source: str, shown: str) -> None:
    assert show_variant(source, code) == shown


def test_links_and_templates_in_variants_are_read() -> None:
    page = scan_page(
        "x", "是-{zh-hans:[[软件]]; zh-hant:[[軟體]]}-的<nowiki>-{a}-</nowiki>。", make_site("zhwiki", "zh", {})
    )
    assert (page.text, page.targets) == ("是软件的-{a}-。", ["软件"])


@pytest.mark.parametrize("piece", ["-{", "}-", "-{a", "-{;", "-{zh:a;", "-{{", "-{}-", ";=>", "-{{{a}}", "-{a|"])
def test_hostile_input_is_finished(piece: str) -> None:
    assert len(show_variant("-{" + piece * 50_000 + "}-", "zh")) <= 2 * len(piece) * 50_000
