import pytest

from nerbert.corpus.dump.sites import Site, make_site, normalise_title
from nerbert.corpus.wikitext.protected import without_ours
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.records import CleanPage, Infobox, Reason
from tests.expected import rows

EN = make_site("enwiki", "en", {"Portal talk": 101})
DE = make_site("dewiki", "de", {"Datei": 6, "Kategorie": 14})


def clean(source: str, *, lists: bool = False, site: Site = EN) -> CleanPage:
    page = scan_page("Own title", source, site, lists=lists)
    check(page)
    return page


def check(page: CleanPage) -> None:
    """What holds for every page: links sorted, disjoint, on one line, stripped; paragraphs stripped, none empty."""
    last = 0
    for link in page.links:
        assert last <= link.start < link.end <= len(page.text)
        anchor = page.text[link.start : link.end]
        assert anchor == anchor.strip()
        assert "\n" not in anchor
        assert link.target == normalise_title(link.target) != ""
        last = link.end
    assert all(count > 0 for count in page.dropped_links.values())
    if page.text:
        assert all(line and line == line.strip() for line in page.text.split("\n"))
    parameters = (text for box in page.infoboxes for text in (box.template, *sum(box.parameters, ())))
    assert all(without_ours(text) == text for text in (page.text, *page.targets, *parameters))
    for box in page.infoboxes:
        assert box.template == normalise_title(box.template) != ""
        assert all(name == name.strip() != "" and value for name, value in box.parameters)


def marked(page: CleanPage) -> str:
    """The text with its links shown as `<anchor→target>`."""
    pieces, place = [], 0
    for link in page.links:
        pieces += [page.text[place : link.start], f"<{page.text[link.start : link.end]}→{link.target}>"]
        place = link.end
    return "".join([*pieces, page.text[place:]])


@pytest.mark.parametrize(("source", "text"), rows(__file__, "scan_texts"))
def test_links(source: str, text: str) -> None:
    page = clean(source)
    assert marked(page) == text
    assert not page.dropped_links


@pytest.mark.parametrize(("language", "source", "text"), rows(__file__, "scan_languages"))
def test_links_of_other_languages(language: str, source: str, text: str) -> None:
    assert marked(clean(source, site=make_site("", language, {}))) == text


OUTSIDE, SELF = Reason.LINK_OUTSIDE_ARTICLES, Reason.LINK_TO_SELF


@pytest.mark.parametrize(
    ("source", "text", "dropped"),
    [
        ("a [[:Category:Foo]] [[:Category:Foo|foo]]", "a Category:Foo foo", {OUTSIDE: 2}),
        ("a [[Category:X]] [[category : X|y]]", "a", {}),
        ("a [[:File:X.png]] [[Portal talk:X|p]] [[User:Y|y]]", "a File:X.png p y", {OUTSIDE: 3}),
        ("a [[de:Paris]] [[:de:Paris]] [[:de:Paris|P]]", "a de:Paris P", {OUTSIDE: 2}),
        ("a [[wikt:dog|dogs]]s", "a dogss", {OUTSIDE: 1}),
        ("[[Talk%3AFoo|y]] [[File%3Aa.jpg|z]] b", "y b", {OUTSIDE: 1}),
        ("a\n{|\n| [[b]] [[File:c]]\n|}\n[[File:d|[[e]]]]", "a", {Reason.LINK_OUTSIDE_PROSE: 2}),
        ("[[{{x}} films|films]] [[{{#invoke:A}}]]", "films", {OUTSIDE: 2}),
        ("[[Own title]] [[own title|me]] [[#History|h]] [[Own_title#x|y]]", "Own title me h y", {SELF: 4}),
        ("a [[B| ]] [[B|{{x}}]] [[B|&#8203;]]", "a", {Reason.EMPTY_ANCHOR: 3}),
        ("a\n== b [[c]] ==\n* [[d]]\n| [[e]]", "a", {Reason.LINK_OUTSIDE_PROSE: 3}),
        ("a [[b|c\n\nd]] e", "a c\nd e", {Reason.LINK_OUTSIDE_PROSE: 1}),
    ],
)
def test_links_that_are_no_mentions_leave_their_words(source: str, text: str, dropped: dict[Reason, int]) -> None:
    page = clean(source)
    assert (page.text, page.links, page.dropped_links) == (text, (), dropped)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a [[b c", "a [[b c"),
        ("a [[b c\n\nd [[e]]", "a [[b c\nd <e→E>"),
        ("a [[b|c [[d]] e]]", "a [[b|c <d→D> e]]"),
        ("a ]] b }} |} [[|c]] [[]] [[ ]]", "a ]] b }} |} [[|c]] [[]] [[ ]]"),
        ("a {{b [[c]]", "a {{b <c→C>"),
        ("[[a<br>b]] [[c\nd]] [[e]", "[[a b]] [[c d]] [[e]"),
        (f"[[{'x' * 3000}]]", f"[[{'x' * 3000}]]"),
        ("[[File:a|[[b]] c", "[[File:a|<b→B> c"),
        ("a <ref>b [[c]] d", "a b <c→C> d"),
        ("a [[b]]<!-- c [[d]]", "a <b→B>"),
        ("a\n{| class=x\n| b\n|-\n! c\nd\n\ne [[f]]", "a\nd\ne <f→F>"),
        ("a <b c [[d]]", "a <b c <d→D>"),
        ("[[a&lt;b]] [[..]] [[.]] [[~~~]] [[...]]", "[[a<b]] [[..]] [[.]] [[~~~]] <...→...>"),
        ("a & b &c; &#; &#x; &#xzz;", "a & b &c; &#; &#x; &#xzz;"),
    ],
)
def test_broken_markup_is_literal(source: str, text: str) -> None:
    assert marked(clean(source)) == text


@pytest.mark.parametrize(("source", "text"), rows(__file__, "scan_forms"))
def test_markup(source: str, text: str) -> None:
    assert marked(clean(source)) == text


def test_headings_and_lists() -> None:
    source = "a\n== b [[c]] == <!-- d -->\n* e [[f]]\n## g\n; h : [[i]]\n:: j\nk [[l]]"
    assert marked(clean(source)) == "a\nk <l→L>"
    assert clean(source).dropped_links == {Reason.LINK_OUTSIDE_PROSE: 3}
    assert marked(clean(source, lists=True)) == "a\ne <f→F>\ng\nh : <i→I>\nj\nk <l→L>"
    assert clean("<ul><li>a</li><li>b</ul>", lists=True).text == "a\nb"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[[*NSYNC]] is a band", "<*NSYNC→*NSYNC> is a band"),
        ("'''*NSYNC''' is a band", "*NSYNC is a band"),
        ("'''!!!''' and [[!Kung]]", "!!! and <!Kung→!Kung>"),
        ("'''#1''' a\n'''''':x''", "#1 a ':x"),
        ("{{x}} ; a", ""),
        ("&#42; a &nbsp;", "* a"),
        ("&nbsp;* a", "* a"),
        ("{{lang|x|:a}}", ":a"),
        ("<nowiki>*</nowiki> a", "* a"),
        ("<div>a\n* b</div>c", "a\nc"),
        ("[[#a]] b\n[[:wikt:x|*y]]", "#a b *y"),
        ("{{Template:Lang|fr|b}}", "b"),
    ],
)
def test_only_what_begins_a_source_line_is_a_list(source: str, text: str) -> None:
    assert marked(clean(source)) == text


def test_infoboxes() -> None:
    source = (
        "{|{{Infobox ship begin}}\n{{Infobox ship career\n|Ship name=''[[X]]''\n|y=}}\n|}\n"
        "{{infobox_person|name = A<!-- b -->c |{{d|e=f}}| g = {{h|i}}\n|[[j|k=l]]}}"
        "{{#if:x|{{y}}}} {{a<nowiki>|</nowiki>b}}"
    )
    assert [(box.template, dict(box.parameters)) for box in clean(source).infoboxes] == [
        ("Infobox ship begin", {}),
        ("Infobox ship career", {"Ship name": "''[[X]]''"}),
        ("Infobox person", {"name": "Ac", "1": "{{d|e=f}}", "g": "{{h|i}}", "2": "[[j|k=l]]"}),
        ("A|b", {}),
    ]


@pytest.mark.parametrize(
    ("line", "site"),
    [
        ("{{Template:Infobox x|a=b}}", EN),
        ("{{ template : infobox_x |a=b}}", EN),
        ("{{:Template:Infobox x|a=b}}", EN),
        ("{{Vorlage:Infobox x|a=b}}", DE),
        ("__NOTOC__{{Infobox x|a=b}}", EN),
        ("__NOTOC__ \n{{Infobox x|a=b}}", EN),
        ("<div class=y>{{Infobox x|a=b}}</div>", EN),
        ("[[File:A.jpg|thumb|a [[B]]]] {{Infobox x|a=b}}", EN),
        ("[[Datei:A.jpg]][[Kategorie:B]]{{Infobox x|a=b}}", DE),
        (":{{Infobox x|a=b}}", EN),
        ("&nbsp;{{Infobox x|a=b}}", EN),
        ("{{#if:x|}}<br>{{Infobox x|a=b}}", EN),
        ("{{a|b}} {{c}}{{Infobox x|a=b}}", EN),
        ("{|\n| style=x | {{Infobox x|a=b}}\n|}", EN),
        ("{| align=y\n|}{{Infobox x|a=b}}", EN),
    ],
)
def test_markup_may_stand_before_an_infobox(line: str, site: Site) -> None:
    for source in (line, f"Text.\n{line}\nText."):
        assert Infobox("Infobox x", (("a", "b"),)) in clean(source, site=site).infoboxes


@pytest.mark.parametrize(
    "line",
    [
        "[[A]] {{x|a=b}}",
        "[[:File:A.jpg]]{{x|a=b}}",
        "a: {{x|a=b}}",
        "* {{x|a=b}}",
        "<b>a</b>{{x|a=b}}",
        "{{x}} a",
        "* {{x}} a",
        "* {{a|b}} {{x|a=b}}",
        "# [[File:A.jpg]] {{a}}{{b}}{{x|a=b}}",
        "{{nowrap|a}} {{x|a=b}}",
        "a | {{x|a=b}}",
        "{{cite web|url=b}}",
        "{{YouTube|a=b}} {{cite book}}",
        "__a b__{{x|a=b}}",
        "a" * 2000 + "<br>" * 500 + "{{x|a=b}}",
    ],
)
def test_templates_in_prose_and_lists_are_no_infoboxes(line: str) -> None:
    found = clean(f"Text.\n{line}\nText.").infoboxes
    assert found == ((Infobox("X", ()),) if line == "{{x}} a" else ())


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("de", ":{{Literatur|Autor=b}}"),
        ("fr", "{{Écrit|titre=b}}"),
        ("ru", "{{книга\n|автор=b\n}}"),
        ("no", "{{Kilde bok}}"),
    ],
)
def test_citations_are_no_infoboxes(language: str, line: str) -> None:
    assert clean(f"{line}\n\n{{{{X|a=b}}}}", site=make_site("", language, {})).infoboxes == (
        Infobox("X", (("a", "b"),)),
    )


@pytest.mark.parametrize(
    "line", ["* [[A]] {{disambig}}", "[[Category:X]] {{ Template:disambig }}  ", "''A'' {{disambig}}"]
)
def test_a_template_without_parameters_may_end_a_line(line: str) -> None:
    for source in (line, f"{line}\nText."):
        assert clean(source).infoboxes == (Infobox("Disambig", ()),)


@pytest.mark.parametrize(
    ("inside", "parameters"),
    [
        ("|kind=town|a=1|kind=|a=2|b|1=c|=d", {"a": "2", "1": "c"}),
        ("".join(f"|p{number}=" for number in range(500)) + "|kind=town", {"kind": "town"}),
        ("".join(f"|n{number}={'v' * 5000}" for number in range(300)), {f"n{n}": "v" * 120 for n in range(120)}),
    ],
)
def test_of_parameters_the_last_twin_counts_and_many_or_long_ones_are_cut(
    inside: str, parameters: dict[str, str]
) -> None:
    (box,) = clean("{{x" + inside + "}}").infoboxes
    assert dict(box.parameters) == parameters


TOKENS = [
    "{{",
    "}}",
    "[[",
    "]]",
    "{|",
    "|}",
    "|",
    "\n",
    "\n\n",
    " ",
    "a",
    "B c",
    "'",
    "''",
    "'''",
    "<ref>",
    "</ref>",
    "<ref/>",
    "<!--",
    "-->",
    "<nowiki>",
    "</nowiki>",
    "<br>",
    "<div>",
    "<li>",
    "*",
    "#",
    ":",
    ";",
    "=",
    "==",
    "(",
    ")",
    ",",
    "&amp;",
    "&#42;",
    "&nbsp;",
    "[http://x ",
    "]",
    "[",
    "File:",
    "Category:",
    "de:",
    "lang|x|",
    "nowrap|",
    "2=",
    "__TOC__",
    "_",
    "\u200b",
    "\u00ad",
    "\u2028",
    "\r\n",
    "\t",
    "\x05",
    "\x16",
    "\x160\x17x\x18",
    "\x19",
    "&#x16;",
    "%16",
    "%195",
    "&#xE010;",
    "%20",
    "é",
    "中",
    "!",
    "----",
    "Own title",
]
HOSTILE = [
    "{{",
    "[[",
    "}}",
    "]]",
    "<ref>",
    "'",
    "'' '",
    "[http://",
    "[http://x ",
    "[[a|",
    "{{a|",
    "{|\n",
    "|}\n",
    "&",
    "&#",
    "<",
    "<a ",
    "(;",
    "( ",
    "<!--",
    "<nowiki>",
    "{{lang|x|",
    "{{nowrap|[[a|",
    "[[File:a|",
    "[[File:a|[[b]]",
    "[[a|[[b]]",
    "[[a]]",
    "{{{",
    "__A",
    "__A_",
    "  ",
    "\n*",
    "\u2028",
    "[[a{{",
    "{{a[[",
    "= ",
    "|",
    "%",
    "[[%",
    "<br>",
    "<li>",
    "[[a|{{x}}",
    "[[File:a|[[b|c|",
    "|c",
    "<ref>a</ref>",
    "<table>",
    "(",
    ")",
    "; ",
    " ,",
    "()",
    "\n",
    "\u200b ",
    "[",
    "[]",
    " [ ",
    "\n= ",
    " )",
    "''' '''",
    "'' ''' ",
    "a'''",
    "'\n",
    "<ref name=a ",
    "</ref>",
    "<ref><math>",
    "<ref/>",
    "{{{{a}}",
    "{",
    "}",
    "[[{{",
    "{{[[",
    "\n{|",
    "\n|}",
    "\n{|\n|}",
    "\n ",
    "\n:::",
    "<rt>",
    "<p style=display:none>",
    "<p style",
    "[[a}}}",
    "（、",
    "「」",
    " 、",
    " .",
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("closing", ["", "]]", "}}"])
def test_hostile_input_is_finished(piece: str, closing: str) -> None:
    scan_page("T", piece * 20_000 + closing * 20_000, EN, lists=True)


def test_a_tag_without_end_is_finished() -> None:
    scan_page("T", "<span " + "display:none " * 20_000, EN)


@pytest.mark.parametrize("inside", ["|c" * 40_000, "[[b|c|d]]" * 20_000, "[[b" + "|c" * 40_000])
def test_hostile_captions_are_finished(inside: str) -> None:
    scan_page("T", f"[[File:a|{inside}]]]]", EN)
    scan_page("T", f"<gallery>\na|{inside}]]\n</gallery>", EN)


@pytest.mark.parametrize("title", ["Own\x160\x17x\x18", "\x19"])
def test_marks_in_titles_are_no_marks(title: str) -> None:
    check(scan_page(title, "{{PAGENAME}} a [[b]] &#x16;0&#x17;foo&#x18; [[c%160%17]]", EN))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (f"a &#{'9' * 5000}; [[b&#{'9' * 5000};|c]]", f"a &#{'9' * 5000}; [[b&#{'9' * 5000};|c]]"),
        ("{{lang|x|" * 5000 + "[[a]]" + "}}" * 5000 + " b", "b"),
        ("{{nowrap|" * 8 + "[[a]]" + "}}" * 8, "<a→A>"),
    ],
    ids=["entity", "nesting", "nesting that is read"],
)
def test_long_numbers_and_nesting(source: str, text: str) -> None:
    assert marked(clean(source)) == text


@pytest.mark.parametrize(
    ("wiki", "language", "source", "text", "targets"),
    [
        ("nds_nlwiki", "nds-nl", "A [[nds:B]] [[nds-nl:C|c]] [[D]].", "A c D.", ["C", "D"]),
        ("simplewiki", "en", "A [[en:B]] [[simple:C|c]].", "A c.", ["C"]),
        ("be_x_oldwiki", "be-tarask", "A [[be:B]] [[:be:C|c]] [[D]].", "A c D.", ["D"]),
        ("nowiki", "nb", "A [[no:B|b]] [[nb:C|c]] [[sv:D]].", "A b c.", ["B", "C"]),
        ("arwiki", "ar", "A [[\u200fملف:x.jpg|تصغير|[[B]]]] [[\u200fتصنيف:C]] [[D]].", "A D.", ["D"]),
        ("viwiki", "vi", "A [[Tập  tin:X.jpg|nhỏ|[[B]]]] [[Thể\u00a0loại:C]] [[D]].", "A D.", ["D"]),
        ("trwiki", "tr", "A [[istanbul]] [[Irak]] [[ilçe|b]].", "A istanbul Irak b.", ["İstanbul", "Irak", "İlçe"]),
    ],
)
def test_links_are_read_as_their_wiki_reads_them(
    wiki: str, language: str, source: str, text: str, targets: list[str]
) -> None:
    page = clean(source, site=make_site(wiki, language, {}))
    assert (" ".join(page.text.split()), page.targets) == (" ".join(text.split()), targets)
