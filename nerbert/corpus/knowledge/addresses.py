"""Addresses of the public knowledge files, from `nerbert/tables/addresses.tsv`, without network access.

Limitation: when a publisher moves its files, the table must be updated; `--mirror` helps until then.
"""

import re
from contextlib import suppress
from datetime import date as Date  # noqa: N812

from nerbert.corpus.dump.sites import wiki_code
from nerbert.errors import SettingsError
from nerbert.sources.download import LATEST, Address
from nerbert.tables import read_columns

LAST_RELEASE = "2022.12.01"
"""DBpedia's newest release known to have instance types in this form."""
EXTRAS = ("dump", "wikidata")
"""The values of `--also`."""

_LANGUAGE = re.compile(r"[a-z]{2,12}(?:-[a-z]{1,12}){0,2}")
_BEGINS = {
    "xml": re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|mediawiki)\b"),
    "bz2": re.compile(rb"BZh[1-9]"),
    "gzip": re.compile(rb"\x1f\x8b\x08"),
}
"""Patterns of a file's first bytes, by packing."""


def list_addresses(language: str, date: str = LAST_RELEASE, also: tuple[str, ...] = ()) -> list[Address]:
    """Return the files for a Wikipedia's language and date, in the order in which they are fetched.

    `date` may be written 2022.12.01, 20221201 or 2022-12-01. `also` may contain `dump` and `wikidata`, each optionally
    with `:DATE`; the default is the newest, since Wikimedia keeps none as old as DBpedia's releases.
    """
    if not _LANGUAGE.fullmatch(language):
        raise SettingsError(f"--language = {language!r}: must be a Wikipedia's code, as en, de or zh-yue")
    # Wikipedias are named after older codes: `no` for `nb`
    language = wiki_code(language)
    day = _read_date("--date", date)
    if day == LATEST:
        raise SettingsError(
            f"--date = {LATEST!r}: DBpedia has no such folder; name a release's date, say {LAST_RELEASE}"
        )
    dotted = f"{day[:4]}.{day[4:6]}.{day[6:]}"
    addresses = [*_files("exports", language=language), *_files("release", language=language, dotted=dotted)]
    for choice in dict.fromkeys(also):
        extra, _, typed = choice.partition(":")
        if extra not in EXTRAS:
            raise SettingsError(f"--also = {choice!r}: must be {' or '.join(EXTRAS)}, or one of them and :DATE")
        day = _read_date("--also", typed or LATEST)
        # The newest dump of Wikidata has an address of its own
        group = f"{extra}:{day}" if (extra, day) == ("wikidata", LATEST) else extra
        addresses += _files(group, wiki=f"{language.replace('-', '_')}wiki", day=day)
    names = [address.name for address in addresses]
    if len(set(names)) < len(names):
        raise SettingsError(f"--also = {', '.join(also)}: names a file twice")
    return addresses


def _read_date(option: str, text: str) -> str:
    """Return a date as eight digits, or `latest`."""
    if text == LATEST:
        return text
    # Python reads 20221201 and 2022-12-01, but not 2022.12.01
    with suppress(ValueError):
        return f"{Date.fromisoformat(text.replace('.', '-')):%Y%m%d}"
    raise SettingsError(f"{option} = {text!r}: must be a date as 2022.12.01 or 20221201, or latest")


def _files(of: str, **values: str) -> list[Address]:
    """Return the files of a group of the table, with these values filled in."""
    rows = read_columns("addresses.tsv", "of", "kind", "folder", "name", "sums", "gib", "packing", "advice")
    addresses = []
    for group, kind, folder, name, sums, gib, packing, advice in rows:
        if group == of:
            folder, name, sums = (cell.format(**values) for cell in (folder, name, sums))  # noqa: PLW2901
            limit = int(gib) << 30
            lists = f"{folder}/{sums}" if sums else ""
            addresses.append(Address(name, kind, f"{folder}/{name}", limit, _BEGINS[packing], advice, lists))
    return addresses
