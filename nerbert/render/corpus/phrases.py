"""Reasons, steps, sources, shares and sizes in words; an unknown name is shown as it is."""

from collections.abc import Mapping
from typing import Any

from nerbert.records import Reason

NO_LABEL = "no label in this set (class unknown, outside the set, or rare)"
"""What ENTITY means, whatever the label set."""
_REASONS = {
    Reason.NOT_AN_ARTICLE: "not an article: talk, help, a template, a category, a file",
    Reason.REDIRECT: "redirects; they are followed, but hold no text",
    Reason.NO_TITLE: "pages without a title",
    Reason.NOT_WIKITEXT: "pages that hold code or data instead of wikitext",
    Reason.DUPLICATE_PAGE: "older copies of a page that the input holds in a newer revision",
    Reason.DISAMBIGUATION_PAGE: "disambiguation pages: lists of what a name can mean",
    Reason.PAGE_TOO_LONG: "pages longer than the limit in the settings",
    Reason.EMPTY_TEXT: "pages that hold no text",
    Reason.LINK_OUTSIDE_ARTICLES: "links to files, categories, help and other pages that are no articles",
    Reason.LINK_TO_SELF: "links from a page to itself",
    Reason.LINK_OUTSIDE_PROSE: "links in lists, headings, captions and tables",
    Reason.EMPTY_ANCHOR: "links that show no word",
    Reason.CUTS_A_WORD: "links that begin or end within a word",
    Reason.EXCLUDED_TEXT: "sentences that share words in a row with a text to exclude, say a test set",
    Reason.EQUAL_IN_TRAIN: "sentences of the validation part that are in the training part too",
    Reason.RARE_CATEGORY: "sentences with a category that has too few mentions",
    Reason.NO_ENTITY: "sentences without a link",
    Reason.ONLY_UNTYPED: f"sentences whose mentions are all ENTITY: {NO_LABEL}",
    Reason.COMMON_AND_UNTYPED: "sentences of common categories only, three or more mentions of them ENTITY; at random",
    Reason.UNKNOWN_CLASS: "rows with a class that the ontology doesn't have",
    Reason.BAD_ROW: "rows that can't be read",
}
_STEPS = {
    "pages": ("Pages of the dump", "pages"),
    "newest revisions": ("Newest revision of each page", "pages"),
    "disambiguation pages": ("Disambiguation pages", "pages"),
    "links": ("Links in the text", "links"),
    "exclude": ("Texts to exclude", "sentences"),
    "no link": ("Sentences without a link", "sentences"),
    "split": ("Same text on both sides of the split", "sentences"),
    "filter 1": ("Filter 1: rare categories", "sentences"),
    "filter 2": ("Filter 2: nothing but ENTITY", "sentences"),
    "filter 3": ("Filter 3: common categories and much ENTITY", "sentences"),
}
_SOURCES = {
    "infobox": "the infobox of the page that the link leads to, by the infobox mappings",
    "untyped": "no source knows the title: ENTITY",
}


def reason_words(reason: str) -> str:
    """Return what was dropped, in words."""
    known = reason in {each.value for each in Reason}
    return _REASONS.get(Reason(reason), "") if known else reason.replace("_", " ")


def step_words(step: str) -> tuple[str, str]:
    """Return a step's title, and what it counts; a user's own step is titled by its name."""
    return _STEPS.get(step, (step, "sentences"))


def source_words(source: str, kinds: Mapping[str, str]) -> str:
    """Return what a source of types is; `kinds`: file → kind."""
    return _SOURCES.get(source) or kinds.get(source) or "a file named with --knowledge"


def note_words(notes: Mapping[str, int]) -> str:
    """Return what filter 1 did without dropping a sentence; "" where the manifest doesn't say."""
    made, kept = notes.get("mentions_made_entity"), notes.get("categories_kept")
    if made is None or kept is None or not (made or kept):
        return ""
    return f"{made:,} mentions of rare categories became ENTITY; {kept:,} categories are left besides it"


def share(part: int, whole: int) -> str:
    """Return a part of a whole as percent."""
    if not whole:
        return "–"
    return f"{100 * part / whole:.1f}\u00a0%" if part <= 0 or part >= whole / 1000 else "<\u00a00.1\u00a0%"


def size(count: Any) -> str:
    """Return bytes in the unit that people use."""
    if not isinstance(count, int):
        return "unknown"
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
