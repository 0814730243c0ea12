"""Where the public knowledge files lie: a table of addresses, written by hand; nothing here asks the net.

The cost: when a publisher moves its files, this table must follow; `--mirror` helps until then.
"""

import re
from contextlib import suppress
from datetime import date as Date  # noqa: N812

from nerbert.corpus.dump.sites import wiki_code
from nerbert.errors import SettingsError
from nerbert.sources.download import LATEST, Address

LAST_RELEASE = "2022.12.01"
"""DBpedia's newest release known to have instance types in this form."""
EXTRAS = ("dump", "wikidata")
"""What `--also` understands."""

_EXPORTS = "https://raw.githubusercontent.com/dbpedia/extraction-framework/master"
_DBPEDIA = "https://downloads.dbpedia.org/repo/dbpedia"
_WIKIMEDIA = "https://dumps.wikimedia.org"
_LANGUAGE = re.compile(r"[a-z]{2,12}(?:-[a-z]{1,12}){0,2}")
_DATE = re.compile(r"([0-9]{4})([.-]?)([0-9]{2})\2([0-9]{2})")
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|mediawiki)\b")
_BZ2 = re.compile(rb"BZh[1-9]")
_GZIP = re.compile(rb"\x1f\x8b\x08")
_GIB = 1 << 30


def list_addresses(language: str, date: str = LAST_RELEASE, also: tuple[str, ...] = ()) -> list[Address]:
    """Return the files for a Wikipedia's language and date, in the order in which they are fetched.

    `date` may be written 2022.12.01, 20221201 or 2022-12-01. `also` holds `dump` and `wikidata`, each with a date of
    its own behind a colon; without one the newest is meant, since Wikimedia keeps none as old as DBpedia's releases.
    """
    if not _LANGUAGE.fullmatch(language):
        raise SettingsError(f"--language = {language!r}: must be a Wikipedia's code, as en, de or zh-yue")
    language = wiki_code(language)
    found = [*_exports(language), *_release(language, _read_date("--date", date))]
    for each in dict.fromkeys(also):
        extra, _, own = each.partition(":")
        if extra not in EXTRAS:
            raise SettingsError(f"--also = {each!r}: must be {' or '.join(EXTRAS)}, or one of them and :DATE")
        day = _read_date("--also", own or LATEST)
        found += _dump(language, day) if extra == "dump" else _wikidata(day)
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise SettingsError(f"--also = {', '.join(also)}: names a file twice")
    return found


def _read_date(option: str, text: str) -> str:
    """Return a date as eight digits, or `latest`."""
    if text == LATEST:
        return text
    with suppress(ValueError):
        if match := _DATE.fullmatch(text):
            year, month, day = map(int, match.group(1, 3, 4))
            return f"{Date(year, month, day):%Y%m%d}"
    raise SettingsError(f"{option} = {text!r}: must be a date as 2022.12.01 or 20221201, or latest")


def _exports(language: str) -> list[Address]:
    """Return DBpedia's ontology and infobox mappings: the newest state; they have no date."""
    advice = "DBpedia maps the infoboxes of some forty languages; has it this one? Else name a --mirror"
    files = (("ontology.xml", "ontology"), (f"Mapping_{language}.xml", "infobox mapping"))
    places = (f"{_EXPORTS}/ontology.xml", f"{_EXPORTS}/mappings/Mapping_{language}.xml")
    return [Address(name, kind, place, _GIB, _XML, advice) for (name, kind), place in zip(files, places, strict=True)]


def _release(language: str, day: str) -> list[Address]:
    """Return the files of DBpedia's release of a date."""
    if day == LATEST:
        raise SettingsError(
            f"--date = {LATEST!r}: DBpedia has no such folder; name a release's date, say {LAST_RELEASE}"
        )
    dotted = f"{day[:4]}.{day[4:6]}.{day[6:]}"
    advice = f"DBpedia has releases of few dates and languages, the last known is {LAST_RELEASE}: try another --date"
    files = (
        (f"instance-types_lang={language}_specific.ttl.bz2", "instance types", "mappings/instance-types"),
        (f"disambiguations_lang={language}.ttl.bz2", "disambiguations", "generic/disambiguations"),
    )
    return [
        Address(name, kind, f"{_DBPEDIA}/{place}/{dotted}/{name}", 64 * _GIB, _BZ2, advice)
        for name, kind, place in files
    ]


def _dump(language: str, day: str) -> list[Address]:
    """Return Wikipedia's multistream dump and its index."""
    wiki = f"{language.replace('-', '_')}wiki"
    advice = "Wikimedia keeps the dumps of a few months: try --also dump:latest, or an archive as --mirror"
    folder, stem = f"{_WIKIMEDIA}/{wiki}/{day}", f"{wiki}-{day}"
    sums = _sums(f"{folder}/{stem}")
    files = {"dump": f"{stem}-pages-articles-multistream.xml.bz2",
             "dump's index": f"{stem}-pages-articles-multistream-index.txt.bz2"}  # fmt: skip
    return [Address(name, kind, f"{folder}/{name}", 256 * _GIB, _BZ2, advice, sums) for kind, name in files.items()]


def _wikidata(day: str) -> list[Address]:
    """Return Wikidata's dump of all entities as JSON."""
    folder = f"{_WIKIMEDIA}/wikidatawiki/entities"
    advice = "Wikimedia keeps some weeks of these: try --also wikidata:latest, or an archive as --mirror"
    name, place, sums = f"wikidata-{day}-all.json.gz", f"{folder}/{day}", _sums(f"{folder}/{day}/wikidata-{day}")
    if day == LATEST:
        name, place, sums = "latest-all.json.gz", folder, ""
    return [Address(name, "Wikidata", f"{place}/{name}", 512 * _GIB, _GZIP, advice, sums)]


def _sums(stem: str) -> str:
    """Return the address of the list of SHA-1 sums that begins with `stem`."""
    return f"{stem}-sha1sums.txt"
