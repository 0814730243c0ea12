"""Checked patterns beside a tagger: which are found, under which type, and that they win overlaps."""

import pickle
import socket

import pytest

pytest.importorskip("presidio_analyzer")

from nerbert.records import Span
from nerbert_redact.patterns import CheckedPatterns

pytestmark = pytest.mark.extras
TEXT = "Anna <anna@example.org>, +49 30 901820, 4111 1111 1111 1111, not 4111 1111 1111 1112. Steuer-ID 86095742719."


def found(patterns: CheckedPatterns, text: str, *spans: Span) -> list[tuple[str, str]]:
    return [
        (text[span.start : span.end], span.type) for span in sorted(patterns.add_to(spans, text), key=lambda s: s.start)
    ]


@pytest.mark.parametrize(
    ("labels", "language", "wanted"),
    [
        ([], "en", ["anna@example.org", "+49 30 901820", "4111 1111 1111 1111"]),
        ([], "de", ["anna@example.org", "+49 30 901820", "4111 1111 1111 1111", "86095742719"]),
        ([], "multilingual", ["anna@example.org", "+49 30 901820", "4111 1111 1111 1111", "86095742719"]),
        (["CREDIT_CARD", "tax number"], "en", ["4111 1111 1111 1111", "86095742719"]),
    ],
)
def test_which_patterns_are_found(
    labels: list[str], language: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")  # nothing is fetched
    patterns = pickle.loads(pickle.dumps(CheckedPatterns(labels, language, [])))
    assert [text for text, _ in found(patterns, TEXT)] == wanted


@pytest.mark.parametrize(
    ("language", "text", "wanted"),
    [
        (
            "en",
            "Call +49\xa030\u202f901820 or 4111\u20091111–1111‑1111.",
            ["+49\xa030\u202f901820", "4111\u20091111–1111‑1111"],
        ),
        (
            "en",
            "to at61 1904 3002 3457 3201, from gb82 west 1234 5698 7654 32 an",
            ["at61 1904 3002 3457 3201", "gb82 west 1234 5698 7654 32"],
        ),
        ("fi", "soita 050 123 4567", ["050 123 4567"]),
        ("da", "den 2026-11-29 og 31.12.2025 på 32 12 34 56", ["32 12 34 56"]),
        ("de-DE", "Steuer-ID 86095742719 von 2021", ["86095742719"]),
    ],
)
def test_how_patterns_are_typed(language: str, text: str, wanted: list[str]) -> None:
    assert [text for text, _ in found(CheckedPatterns([], language, []), text)] == wanted


def test_a_pattern_wins_an_overlap_and_the_rest_of_the_entity_stays_one() -> None:
    patterns = CheckedPatterns([], "en", ["EMAIL", "person"])
    spans = (Span(0, 22, "person"), Span(6, 10, "person"), Span(25, 65, "sum"), Span(86, 92, "C++"))
    assert found(patterns, TEXT, *spans) == [
        ("Anna", "person"),
        ("anna@example.org", "EMAIL"),
        ("+49 30 901820", "phone number"),
        ("4111 1111 1111 1111", "credit card number"),
        ("not", "sum"),
        ("Steuer", "C++"),
    ]
