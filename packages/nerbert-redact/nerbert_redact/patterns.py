"""Find numbers and addresses by Presidio's recognizers that check what they match (`patterns.tsv`).

The words around a match aren't read, so no spaCy model is needed; nothing is fetched. Cost: a number that a person
mistyped isn't found.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import regex
from presidio_analyzer import predefined_recognizers
from tldextract import TLDExtract

from nerbert.entity_labels import read_words
from nerbert.records import Span
from nerbert.sentences import SEVERAL_LANGUAGES
from nerbert.tables import read_columns

_LEAST = 0.4
"""Minimum score: Presidio's for a valid phone number; what passes a checksum has 1."""
_find_domain = TLDExtract(cache_dir=None, suffix_list_urls=())
"""Knows the domains of its release; Presidio's own fetches a list."""
_TAKEN = "\0"
"""Put in place of the characters of patterns that were found."""
_DATE = re.compile(r"[12]\d{3}-[01]\d-[0-3]\d|[0-3]?\d[.-][01]?\d[.-][12]\d{3}")
"""A date as several countries' telephone numbers of eight digits look."""
_WORDS = re.compile(r"\w(?:[^\0]*\w)?")


class OfflineEmailRecognizer(predefined_recognizers.EmailRecognizer):
    """Presidio's recognizer of e-mail addresses, without its requests for a list of domains."""

    def validate_result(self, pattern_text: str) -> bool:
        """Return whether an address has a known domain."""
        return bool(_find_domain(pattern_text).fqdn)


class AnyCaseIbanRecognizer(predefined_recognizers.IbanRecognizer):
    """Presidio's recognizer of IBANs, in lower case too."""

    def analyze(self, text: str, *arguments: Any, **named: Any) -> list[Any]:
        """Return what is found in a text as it is and in capitals."""
        # A letter with two capitals stays, so that places hold.
        pairs = ((letter, letter.upper()) for letter in text)
        capitals = "".join(upper if len(upper) == 1 else letter for letter, upper in pairs)
        # In capitals, a word of four letters after an IBAN would be read as more of it.
        found: list[Any] = super().analyze(text, *arguments, **named)
        return [*found, *super().analyze(capitals, *arguments, **named)]


_RECOGNIZERS = vars(predefined_recognizers) | {
    "EmailRecognizer": OfflineEmailRecognizer,
    "IbanRecognizer": AnyCaseIbanRecognizer,
}


class CheckedPatterns:
    """The recognizers of some labels, else those for texts in a language; `types` are the tagger's.

    What a recognizer finds has the tagger's type that is read as the same words, else these words for its type.
    """

    def __init__(self, labels: Iterable[str], language: str, types: Iterable[str]) -> None:
        language = language.partition("-")[0]
        wanted = set(map(read_words, labels))
        regions = [
            region
            for region, languages in read_columns("phone_regions.tsv", "region", "languages", package="nerbert_redact")
            if languages == "*" or language in languages.split()
        ]
        own = {read_words(type_): type_ for type_ in types}
        self._recognizers = [
            (
                own.get(label, label),
                predefined_recognizers.PhoneRecognizer(supported_regions=regions)
                if name == "PhoneRecognizer"
                else _RECOGNIZERS[name](),
            )
            for label, name, languages in read_columns(
                "patterns.tsv", "label", "recognizer", "languages", package="nerbert_redact"
            )
            if (label in wanted if wanted else language == SEVERAL_LANGUAGES or languages in ("*", language))
        ]

    def add_to(self, spans: Sequence[Span], text: str) -> list[Span]:
        """Return a text's entities and patterns; patterns win overlaps, among them the longest, then the surest."""
        # The recognizers know only blanks and hyphens; a dash between words isn't one.
        plain = regex.sub(r"\p{Zs}", " ", regex.sub(r"(?<=\d)[\p{Pd}−]|[\p{Pd}−](?=\d)", "-", text))
        matches = [
            Span(match.start, match.end, type_, confidence=match.score)
            for type_, recognizer in self._recognizers
            for match in recognizer.analyze(plain, recognizer.supported_entities)
            if match.score >= _LEAST and not _DATE.fullmatch(plain, match.start, match.end)
        ]
        found = list[Span]()
        for span in sorted(matches, key=lambda span: (span.start - span.end, -span.confidence)):
            found += _cut_span(text, span)
            text = text[: span.start] + _TAKEN * (span.end - span.start) + text[span.end :]
        return [*found, *(part for span in spans for part in _cut_span(text, span))]


def _cut_span(text: str, span: Span) -> list[Span]:
    """Return a span, or, if some of its characters are taken, the words between them."""
    if _TAKEN not in text[span.start : span.end]:
        return [span]
    words = _WORDS.finditer(text, span.start, span.end)
    return [Span(*match.span(), span.type, confidence=span.confidence) for match in words]
