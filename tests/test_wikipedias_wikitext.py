"""The script that tabulates MediaWiki's message tables, on invented ones."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parent.parent / "sources" / "wikipedias"
ENGLISH = r"""<?php
/** English; a comment with $code = 1; */
$fallback = false;
$linkTrail = '/^([a-z]+)(.*)$/sD';
$linkPrefixExtension = false;
$namespaceNames = [ NS_FILE => 'File', NS_TALK => "Talk", NS_PROJECT_TALK => '$1_talk', ];
$namespaceAliases = [ 'Image' => NS_FILE ];
$magicWords = [
    'redirect' => [ 0, '#REDIRECT' ],
    'toc' => [ 0, '__TOC__' ],
    'other' => [ 0, 'OTHER' ],
];
"""
OTHER = r"""<?php
$fallback = 'de, en';
$linkTrail = "/^((?:[a-zä\x{f6}]|'n(?!'))+)(.*)\$/sDu";
$linkPrefixExtension = true;
$linkPrefixCharset = 'a-z';
$part = "D\xc3\xa4t" . '_ei';
$namespaceNames = [ NS_FILE => $part, NS_TALK => 'Talk' ];
$magicWords = [ 'redirect' => [ '0', '#WEITER', '#REDIRECT' ], 'lc' => [ 0, 'KLEEN:' ], 'pagename' => [ 1, 'NA_AM' ] ];
$separatorTransformTable = [ ',' => "\xc2\xa0", '.' => ',' ];
$dateFormats = [ 'dmy date' => 'j. F Y' ];
unset( $part );
"""
FUNCTIONS = "<?php $magicWords = [ 'en' => [ 'if' => [ 0, 'if' ] ], 'nds-nl' => [ 'if' => [ 0, 'wenn' ] ] ];"
PLURALS = """<supplementalData><plurals><pluralRules locales="nds_NL">
<pluralRule count="one">i = 1 and v = 0 @integer 1</pluralRule>
<pluralRule count="few">n % 10 = 2..4 and n != 12,13 @integer 2</pluralRule>
<pluralRule count="other"/></pluralRules></plurals></supplementalData>"""


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(SOURCES))
    for name in ("build", "php"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield import_module("build").build
    for name in ("build", "php"):
        del sys.modules[name]  # other folders of sources have scripts of these names


def mediawiki(folder: Path, **tables: str) -> Path:
    messages = folder / "languages" / "messages"
    messages.mkdir(parents=True)
    for name, text in tables.items():
        (messages / f"Messages{name}.php").write_text(text, encoding="utf-8")
    functions, data = folder / "extensions-core" / "ParserFunctions", folder / "languages" / "data"
    for made, name, text in (
        (functions, "ParserFunctions.i18n.magic.php", FUNCTIONS),
        (data, "plurals.xml", PLURALS),
        (data, "plurals-mediawiki.xml", "<supplementalData/>"),
    ):
        made.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    return folder


def test_tables_are_tabulated(build: Any, tmp_path: Path) -> None:
    text = build(mediawiki(tmp_path, En=ENGLISH, Nds_nl=OTHER), {"nds-nl": {"6": ["B"], "switch": ["__WEG__"]}})
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    assert rows == [
        "language\tfact\tvalues",
        "en\ttrail\ta-z",
        "en\tprefix\t∅",
        "en\t1\tTalk",
        "en\t6\tFile|Image",
        "en\tredirect\tREDIRECT",
        "en\tswitch\t__TOC__",
        "en\tfunction if\t#if",
        "nds-nl\tfallback\tde|en",
        "nds-nl\ttrail\ta-zäö|'n",
        "nds-nl\tprefix\ta-z",
        "nds-nl\t6\tDät ei|B",
        "nds-nl\tfunction lc\tkleen",
        "nds-nl\tseparators\t⍽|,",
        "nds-nl\tdate\t{d}. {m} {y}",
        "nds-nl\tredirect\tWEITER",
        "nds-nl\tpage name\tna am",
        "nds-nl\tfunction if\t#wenn",
        "nds-nl\tplural\tN = 1|N mod 10 >= 2 and N mod 10 <= 4 and not (N = 12 or N = 13)",
        "nds-nl\tswitch\t__WEG__",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("$a = [ 'x' ] + [ 'y' ];", "something follows the value of \\$a"),
        ("$a = array( 'x' );", "'array' begins no value"),
        ("$a = [ 'x' 'y' ];", "\"'y'\" follows a value in an array"),
        ("$linkTrail = '/^([\\p{L}]+)(.*)$/sDu';", "letters of another form"),
        ("$linkTrail = '/^(\\w)/';", "a link trail of another form"),
        ("foreach ( $a as $b ) {}", "'foreach' begins no assignment"),
    ],
)
def test_what_cannot_be_read_is_an_error(build: Any, tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(mediawiki(tmp_path, En=ENGLISH, Xx=f"<?php\n{line}\n"), {})


def test_other_folders_and_languages_are_errors(build: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a MediaWiki"):
        build(tmp_path, {})
    with pytest.raises(ValueError, match="additions to unknown languages: xx"):
        build(mediawiki(tmp_path, En=ENGLISH), {"xx": {"6": ["B"]}})
