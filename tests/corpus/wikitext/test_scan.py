from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.sites import Site, make_site, normalise_title
from nerbert.corpus.wikitext.protected import without_ours
from nerbert.corpus.wikitext.scan import clean_page
from nerbert.records import CleanPage, Infobox, Reason

EN = make_site("enwiki", "en", {"Portal talk": 101})
DE = make_site("dewiki", "de", {"Datei": 6, "Kategorie": 14})


def clean(source: str, *, lists: bool = False, site: Site = EN) -> CleanPage:
    page = clean_page("Own title", source, site, lists=lists)
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


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[[Paris]], [[paris|the city]] and [[dog]]s.", "<Paris→Paris>, <the city→Paris> and <dogs→Dog>."),
        ("[[Dog|hound]]sX [[Dog]]Xs", "<hounds→Dog>X <Dog→Dog>Xs"),
        ("[[dog]]''s'' [[dog]]{{'}}s [[dog]]<nowiki/>s", "<dog→Dog>s <dog→Dog>'s <dog→Dog>s"),
        ("[[Paris#History]] [[Paris#a|b]]", "<Paris#History→Paris> <b→Paris>"),
        ("[[ Nobel_Prize ]] [[Nobel_Prize|it]]", "<Nobel_Prize→Nobel Prize> <it→Nobel Prize>"),
        ("[[a|b|c]] [[a| b ]] [[Foo|a ]]b", "<b|c→A> <b→A> <a b→Foo>"),
        ("[[Caf%C3%A9|x]] [[100%]]", "<x→Café> <100%→100%>"),
        ("[[AT&amp;T]] [[A&B|x]] [[Fish&#32;and|y]]", "<AT&T→AT&T> <x→A&B> <y→Fish and>"),
        ("[[R&notit;|x]]", "<x→R&notit;>"),
        ("[[{{PAGENAME}} films|films]]", "<films→Own title films>"),
        ("[[Mercury (planet)|]] [[x, y|]] [[Talk of: z|]]", "<Mercury→Mercury (planet)> <x→X, y> <z→Talk of: z>"),
        ("[[Star Trek: X]] [[Foo: Bar|b]]", "<Star Trek: X→Star Trek: X> <b→Foo: Bar>"),
        ("[[fr]] [[It]]", "<fr→Fr> <It→It>"),
        ("[[Foo|''bar'']] '''[[x]]'''", "<bar→Foo> <x→X>"),
        ("[[Foo|a\nb]] [[Foo|a<br>b]]", "<a b→Foo> <a b→Foo>"),
        ("[[Foo|{{lang|fr|le}} x{{y|[[z]]}}]]", "<le x→Foo>"),
        ("[[Foo|[[File:x.png|20px]] bar]]", "<bar→Foo>"),
        ("[[Foo%23bar|x]] [[Foo%20bar]] [[en:Foo|y]] [[:en:Foo]]", "<x→Foo> <Foo bar→Foo bar> <y→Foo> <en:Foo→Foo>"),
        ("[[A<nowiki>&</nowiki>B]]", "<A&B→A&B>"),
        ("(; [[a]] ) and ( [[b]])", "(<a→A>) and (<b→B>)"),
        ("''[[Hamlet]]'''s [[x]]'s", "<Hamlet→Hamlet>'s <x→X>'s"),
        ("''[[Eagle]]''{{'s}} stage and ''[[b]]''", "<Eagle→Eagle>'s stage and <b→B>"),
        ("L{{'}}''[[Altes Museum]]'' l{{'}}'''[[b]]'''", "L'<Altes Museum→Altes Museum> l'<b→B>"),
        ("''{{nowrap|[[a]]{{'}}}}'' [[O{{'}}Brien]]", "<a→A>' <O'Brien→O'Brien>"),
    ],
)
def test_links(source: str, text: str) -> None:
    page = clean(source)
    assert marked(page) == text
    assert not page.dropped_links


@pytest.mark.parametrize(
    ("language", "source", "text"),
    [
        (
            "de",
            "[[Haus]]übung [[Datei:a|b [[c]]]] [[Bild:x]] [[Kategorie:y]] [[en:House]] [[d]]",
            "<Hausübung→Haus> <d→D>",
        ),
        ("ar", "في ال[[قاهرة]] و[[نيل|النيل]]ي", "في <القاهرة→قاهرة> <والنيلي→نيل>"),
        ("ar", "1و[[أ]]ب[[ت]]", "1<وأب→أ><ت→ت>"),
        ("ar", "و[[ملف:x.png|تصغير|ج]] [[:تصنيف:أ]]", "و تصنيف:أ"),
        ("ar", "و[[أ| ب]]", "و <ب→أ>"),
        ("ka", "«ქ[[ა]]ში»", "«<ქაში→ა>»"),
        ("is", "norður–[[Ísland]]s-", "norður–<Íslands→Ísland>-"),
        ("hy", "[[Երևան]]ում», [[Փարիզ]]", "<Երևանում→Երևան>», <Փարիզ→Փարիզ>"),
        ("ru", "при[[город]]ы", "при<городы→Город>"),
        ("ca", "[[home]]'''s [[home]]'s", "<home→Home>s <home's→Home>"),
        ("fa", "[[کتاب]]\u200cها [[کتاب]]\u200c، ب", "<کتاب\u200cها→کتاب> <کتاب→کتاب>\u200c، ب"),
        ("ja", "[[ファイル:a.png|thumb|[[b]]]][[東京]]の＿＿目次＿＿", "<東京→東京>の"),
        ("zh", "[[File:a.png|缩略图|b]][[北京]]s__NOTOC__[[分类:c]]", "<北京→北京>s"),
    ],
)
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
        ("[[{{x}} films|films]] [[{{lc:A}}]]", "films", {OUTSIDE: 2}),
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


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a [[File:x.jpg|thumb|b [[c]] [[File:d.png|[[e]]]]]] f [[Image:g.png]]", "a f"),
        ("a {{b|{{c|[[d]]}}|e={{f}}}} g", "a g"),
        ("a {{{b|[[c]]}}} d", "a d"),
        ("{{lang|fr|''le [[Monde]]''}} {{ Lang | fr | x }}", "le <Monde→Monde> x"),
        ("{{lang|fr|2=le}} {{nowrap|1=[[a]] b}} {{lang|fr|x|y}} {{lang|fr}}", "le <a→A> b x"),
        ("{{nowrap|{{lang|fr|[[a]]}} {{x}}b}}", "<a→A> b"),
        ("H{{sub|2}}O{{snd}}x{{'s}} {{nihongo|Tokyo|{{lang|ja|x}}}}", "H2O – x's Tokyo (x)"),
        ("a<ref>x [[y]]</ref> b<ref name=c />, d", "a b, d"),
        ("a <nowiki>[[b]] ''c'' {{d}}</nowiki> e", "a [[b]] ''c'' {{d}} e"),
        ("a <math>x_{[[1]]}</math> b<math>y", "a formula by"),
        ("a\n{|\n| [[b]]\n|-\n|\n{|\n| c\n|}\n|}\nd", "a\nd"),
        (":{|\n| a\n|}\nb", "b"),
        ("a {| b", "a {| b"),
        ("<table><tr><td>[[a]]</td></tr></table>b", "b"),
        ("'''A''' ''b'' '''''c''''' ''''d''''", "A b c 'd'"),
        ("a&nbsp;b &ndash; &eacute; &#x1F600; &lt;ref&gt; &#91;&#91;c]] &amp;amp;", "a b – é 😀 <ref> [[c]] &amp;"),
        ("a&#10;&#10;* b&#0;&#xD800;&#99999999999;c", "a * b\ufffd\ufffd\ufffdc"),
        ("[http://x.y a [[b]] c] d", "a <b→B> c d"),
        ("a [http://x.y] [//x.y z] [mailto:u v] [HTTPS://x w]. b", "a z v w. b"),
        ("a [http://x.y b [[c]]] d [e]", "a b <c→C> d [e]"),
        ("a [http://x\ny] [http://z", "a [http://x y] [http://z"),
        ("a http://b.c d", "a http://b.c d"),
        ("the pair <p, q> of f() and () g( )", "the pair <p, q> of f() and g()"),
        ("!Kung is a [[people]].\n! x", "!Kung is a <people→People>."),
        ("a{{quote|b [[c]]}}d", "a\nb <c→C>\nd"),
        ("mot ; autre , x", "mot ; autre, x"),
        ("<b>a</b> <span class='x'>b</span> c<br/>d 1 < 2 > 0", "a b c d 1 < 2 > 0"),
        ("<p>a</p><p>b</p><div>c</div>d<hr>e", "a\nb\nc\nd\ne"),
        ("<ul><li>a [[b]]</li><li>c</li></ul>d", "d"),
        ("__NOTOC__ a __toc__ __b__ __FILE__ __index__", "a __b__ __FILE__ __index__"),
        ("a\n<!-- b -->\nc", "a c"),
        ("a\r\nb\tc\u2028d\u00a0e\u200bf\u00adg", "a b c d efg"),
        ("  a [[b]]", "a <b→B>"),
        ("----\na", "a"),
        ("b\n-----a [[c]]", "b\na <c→C>"),
        ("für <Fachgebiet> [[x]] <v>", "für <Fachgebiet> <x→X> <v>"),
        ("[news:x c] [irc://x d] [[http://x.y b]] c", "c d [b] c"),
        ("<center>a</center> b<h2>c</h2><dl><dd>d</dd></dl>e", "a\nb\nc\nd\ne"),
        ("[[dog]]<nowiki></nowiki>s [[cat]]<nowiki>s</nowiki>", "<dog→Dog>s <cat→Cat>s"),
        ("[[a%20b]] [[mod_ssl]] [[e\n|f]]", "<a b→A b> <mod_ssl→Mod ssl> <f→E>"),
    ],
)
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
        ("[[*NSYNC]] is a band", "<*NSYNC→*NSYNC> is a band"), ("'''*NSYNC''' is a band", "*NSYNC is a band"),
        ("'''!!!''' and [[!Kung]]", "!!! and <!Kung→!Kung>"), ("'''#1''' a\n'''''':x''", "#1 a ':x"), ("{{x}} ; a", ""),
        ("&#42; a &nbsp;", "* a"), ("&nbsp;* a", "* a"), ("{{lang|x|:a}}", ":a"), ("<nowiki>*</nowiki> a", "* a"),
        ("<div>a\n* b</div>c", "a\nc"), ("[[#a]] b\n[[:wikt:x|*y]]", "#a b *y"), ("{{Template:Lang|fr|b}}", "b"),
    ],
)  # fmt: skip
def test_only_what_begins_a_source_line_is_a_list(source: str, text: str) -> None:
    assert marked(clean(source)) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[[File:a.jpg|thumb|left|200px|b [[c|d]] e]]f", "f\nb <d→C> e"),
        ("f[[Image:a.jpg|thumb|alt=x|{{nowrap|b}} [[c]], [[File:d.png|20px]][[e]]]]", "f\nb <c→C>, <e→E>"),
        ("[[File:a.jpg|thumb|b [[c|d]] e|alt=x|200px]]f", "f\nb <d→C> e"),
        ("f [[File:a.jpg|thumb]] [[File:b.jpg]] [[File:c.jpg|upright=1.2]]", "f"),
        ("f\n<gallery mode=x>\nFile:a.jpg|b [[c]]\nd.jpg|''e''\ng.jpg\nFile:h|i [[j\n</gallery>", "f\nb <c→C>\ne"),
        ("f\n* [[File:a.jpg|* b]]", "f\n* b"),
    ],
)
def test_captions_if_wanted(source: str, text: str) -> None:
    page = clean_page("Own title", source, EN, captions=True)
    check(page)
    assert marked(page) == text
    assert marked(clean(source)) == text.partition("\n")[0]


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
        ("{{Template:Infobox x|a=b}}", EN), ("{{ template : infobox_x |a=b}}", EN), ("{{:Template:Infobox x|a=b}}", EN),
        ("{{Vorlage:Infobox x|a=b}}", DE), ("__NOTOC__{{Infobox x|a=b}}", EN), ("__NOTOC__ \n{{Infobox x|a=b}}", EN),
        ("<div class=y>{{Infobox x|a=b}}</div>", EN), ("[[File:A.jpg|thumb|a [[B]]]] {{Infobox x|a=b}}", EN),
        ("[[Datei:A.jpg]][[Kategorie:B]]{{Infobox x|a=b}}", DE), (":{{Infobox x|a=b}}", EN),
        ("&nbsp;{{Infobox x|a=b}}", EN), ("{{#if:x|y}}<br>{{Infobox x|a=b}}", EN),
    ],
)  # fmt: skip
def test_markup_may_stand_before_an_infobox(line: str, site: Site) -> None:
    for source in (line, f"Text.\n{line}\nText."):
        assert Infobox("Infobox x", (("a", "b"),)) in clean(source, site=site).infoboxes


@pytest.mark.parametrize(
    "line",
    [
        "[[A]] {{x|a=b}}", "[[:File:A.jpg]]{{x|a=b}}", "a: {{x|a=b}}", "* {{x|a=b}}", "<b>a</b>{{x|a=b}}", "{{x}} a",
        "* {{x}} a", "__a b__{{x|a=b}}", "a" * 2000 + "<br>" * 500 + "{{x|a=b}}",
    ],
)  # fmt: skip
def test_templates_in_prose_and_lists_are_no_infoboxes(line: str) -> None:
    found = clean(f"Text.\n{line}\nText.").infoboxes
    assert found == ((Infobox("X", ()),) if line == "{{x}} a" else ())


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
)  # fmt: skip
def test_of_parameters_the_last_twin_counts_and_many_or_long_ones_are_cut(
    inside: str, parameters: dict[str, str]
) -> None:
    (box,) = clean("{{x" + inside + "}}").infoboxes
    assert dict(box.parameters) == parameters


TOKENS = [
    "{{", "}}", "[[", "]]", "{|", "|}", "|", "\n", "\n\n", " ", "a", "B c", "'", "''", "'''", "<ref>", "</ref>",
    "<ref/>", "<!--", "-->", "<nowiki>", "</nowiki>", "<br>", "<div>", "<li>", "*", "#", ":", ";", "=", "==", "(", ")",
    ",", "&amp;", "&#42;", "&nbsp;", "[http://x ", "]", "[", "File:", "Category:", "de:", "lang|x|", "nowrap|", "2=",
    "__TOC__", "_", "\u200b", "\u00ad", "\u2028", "\r\n", "\t", "\x05", "\x16", "\x160\x17x\x18", "\x19", "&#x16;",
    "%16", "%195", "&#xE010;", "%20", "é", "中", "!", "----", "Own title",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(TOKENS), max_size=60).map("".join)


@settings(max_examples=200, deadline=None)
@given(SOUP | st.text(max_size=200), st.booleans())
def test_any_text_is_cleaned(source: str, lists: bool) -> None:
    clean(source, lists=lists)


HOSTILE = [
    "{{", "[[", "}}", "]]", "<ref>", "'", "'' '", "[http://", "[http://x ", "[[a|", "{{a|", "{|\n", "|}\n", "&",
    "&#", "<", "<a ", "(;", "( ", "<!--", "<nowiki>", "{{lang|x|", "{{nowrap|[[a|", "[[File:a|", "[[File:a|[[b]]",
    "[[a|[[b]]", "[[a]]", "{{{", "__A", "__A_", "  ", "\n*", "\u2028", "[[a{{", "{{a[[", "= ", "|", "%", "[[%",
    "<br>", "<li>", "[[a|{{x}}", "[[File:a|[[b|c|", "|c", "<ref>a</ref>", "<table>", "(", ")", "; ", " ,", "()", "\n",
    "\u200b ", "[", "[]", " [ ", "\n= ", " )", "''' '''", "'' ''' ", "a'''", "'\n", "<ref name=a ", "</ref>",
    "<ref><math>", "<ref/>", "{{{{a}}", "{", "}", "[[{{", "{{[[", "\n{|", "\n|}", "\n{|\n|}", "\n ", "\n:::",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("closing", ["", "]]", "}}"])
def test_hostile_input_is_finished(piece: str, closing: str) -> None:
    clean_page("T", piece * 20_000 + closing * 20_000, EN, lists=True)


@pytest.mark.parametrize("inside", ["|c" * 40_000, "[[b|c|d]]" * 20_000, "[[b" + "|c" * 40_000])
def test_hostile_captions_are_finished(inside: str) -> None:
    clean_page("T", f"[[File:a|{inside}]]]]", EN, captions=True)
    clean_page("T", f"<gallery>\na|{inside}]]\n</gallery>", EN, captions=True)


@pytest.mark.parametrize("title", ["Own\x160\x17x\x18", "\x19"])
def test_marks_in_titles_are_no_marks(title: str) -> None:
    check(clean_page(title, "{{PAGENAME}} a [[b]] &#x16;0&#x17;foo&#x18; [[c%160%17]]", EN))


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


NIGHTLY = pytest.mark.nightly


@pytest.mark.parametrize(
    ("language", "least"),
    [pytest.param("en", 45_000, marks=NIGHTLY), ("de", 14_000), pytest.param("it", 27_000, marks=NIGHTLY)],
)
def test_real_pages_keep_the_rules(shared: Path, language: str, least: int) -> None:
    dump = Dump(shared / f"data/wiki/{language}wiki-sample-pages-articles-multistream.xml.bz2")
    links, junk = 0, 0
    for page in dump.pages():
        if not page.redirect and (page.ns or dump.site.namespace(page.title)) == 0:
            cleaned = clean_page(page.title, page.text, dump.site)
            check(cleaned)
            links += len(cleaned.links)
            junk += sum(cleaned.text.count(mark) for mark in ("[[", "]]", "{{", "}}", "{|", "<ref", "''"))
    assert links > least
    assert junk < 10


@pytest.mark.parametrize(
    ("wiki", "language", "source", "text", "targets"),
    [
        ("nds_nlwiki", "nds-nl", "A [[nds:B]] [[nds-nl:C|c]] [[D]].", "A c D.", ["C", "D"]),
        ("simplewiki", "en", "A [[en:B]] [[simple:C|c]].", "A c.", ["C"]),
        ("be_x_oldwiki", "be-tarask", "A [[be:B]] [[:be:C|c]] [[D]].", "A c D.", ["D"]),
        ("nowiki", "nb", "A [[no:B|b]] [[nb:C|c]] [[sv:D]].", "A b c .", ["B", "C"]),
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
