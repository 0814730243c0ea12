"""The records that all stages share.

Offsets are Python string indices (code points), half-open, and checked when a record is made. Records are frozen, so a
changed sentence is a new object. Links and infoboxes, of which there are hundreds of millions, are named tuples: also
frozen, and made several times faster.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from nerbert.errors import InputError

TRAIN, VALIDATION = "train", "validation"
"""The two parts of a corpus's split."""
_BEYOND = 1 << 63
"""No text has such an offset, and Python can't print a number of over 4,300 digits."""
ENTITY = "ENTITY"
"""The category of a mention whose class is not known (NER-BERT §2.2)."""
LINK = "link"
"""The origin of a mention that is a link."""


class Reason(StrEnum):
    """Why something was dropped; the manifest counts these for each step.

    `LINK_OUTSIDE_PROSE` counts links in lists, headings, captions and tables (in the last two those whose target has no
    colon). Links in templates and references are not counted.
    """

    NOT_AN_ARTICLE = "not_an_article"
    REDIRECT = "redirect"
    NO_TITLE = "no_title"
    NOT_WIKITEXT = "not_wikitext"
    DUPLICATE_PAGE = "duplicate_page"
    DISAMBIGUATION_PAGE = "disambiguation_page"
    PAGE_TOO_LONG = "page_too_long"
    EMPTY_TEXT = "empty_text"
    LINK_OUTSIDE_ARTICLES = "link_outside_articles"
    LINK_TO_SELF = "link_to_self"
    LINK_OUTSIDE_PROSE = "link_outside_prose"
    EMPTY_ANCHOR = "empty_anchor"
    CUTS_A_WORD = "cuts_a_word"
    EXCLUDED_TEXT = "excluded_text"
    EQUAL_IN_TRAIN = "equal_in_train"
    RARE_CATEGORY = "rare_category"
    NO_ENTITY = "no_entity"
    ONLY_UNTYPED = "only_untyped"
    COMMON_AND_UNTYPED = "common_and_untyped"
    UNKNOWN_CLASS = "unknown_class"
    BAD_ROW = "bad_row"
    NOT_IN_TEXT = "not_in_text"
    BAD_TYPE = "bad_type"
    TYPE_IS_MENTION = "type_is_mention"


@dataclass(frozen=True, slots=True)
class Span:
    """An entity in a text: `text[start:end]`, its type and the tagger's confidence (0–1; gold spans have 1)."""

    start: int
    end: int
    type: str
    text: str = ""
    confidence: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < _BEYOND:
            raise _offset_error("span", self.start, self.end, self.type)


def _offset_error(noun: str, start: int, end: int, type_: str) -> InputError:
    if max(abs(start), abs(end)) >= _BEYOND:
        return InputError(f"{noun} of type {type_!r:.80} has an offset of more than 18 digits, and no text is so long")
    return InputError(f"{noun} [{start}, {end}) of type {type_!r:.80} is empty or negative")


@dataclass(frozen=True, slots=True)
class Example:
    """An annotated sentence: its text, the character span of each word, and its entities as character spans.

    `asked` lists the types that were looked for; None means all types of the data. Of the words in the character spans
    `unknown` nothing is known: whether they are entities, or of which types. With `partial` only some of its entities
    are annotated, as links are: the others may be entities, too.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    spans: tuple[Span, ...] = ()
    asked: tuple[str, ...] | None = None
    unknown: tuple[tuple[int, int], ...] = ()
    partial: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words as they are written."""
        return tuple(self.text[start:end] for start, end in self.words)


class Repair(StrEnum):
    """What was repaired, or left out, when annotated data was read.

    `TAG` counts tags that continue nothing or break their scheme, `SPELLING` those written in another way; `TRIMMED`
    spans and types with white space around them; `EMPTY` spans of white space alone; `REJECTED` texts that an annotator
    rejected or skipped; `UNANNOTATED` those that only a model tagged; `ANNOTATOR` the spans of a text's second
    annotator and further ones; `UNTYPED` entities without a value, `PIECES` those in several pieces; `PASSED_OVER`
    annotations other than entities.
    """

    TAG = "tag"
    SPELLING = "spelling"
    TRIMMED = "trimmed"
    EMPTY = "empty"
    REPEATED = "repeated"
    MERGED = "merged"
    OVERLAP = "overlap"
    GROWN = "grown"
    UNIT = "unit"
    REJECTED = "rejected"
    UNANNOTATED = "unannotated"
    ANNOTATOR = "annotator"
    UNTYPED = "untyped"
    PIECES = "pieces"
    PASSED_OVER = "passed_over"


Repairs = Counter[Repair]
"""How often each repair was made."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text as a file holds it, with its annotated entities: a sentence, or many.

    Its spans may overlap and cut words. `words` is None where the file has none. Texts of one `group` stay together
    when data is split, equal texts where it is "". `fields` has the file's other fields of the text, in JSON types,
    `line` the line (row, number) for messages, 0 for none. `tagged`: a model made the spans, not a person. `partial`: a
    person was asked about the spans alone, so of all other words nothing is known. `size` counts the bytes that it was
    read from, if rows are streamed.
    """

    text: str
    spans: tuple[Span, ...] = ()
    words: tuple[tuple[int, int], ...] | None = None
    group: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0
    tagged: bool = False
    partial: bool = False
    size: int = 0

    @property
    def sentence(self) -> Example | None:
        """The text as a sentence of its words, without entities; None if the file has no words."""
        return None if self.words is None else Example(self.text, self.words)


@dataclass(frozen=True, slots=True)
class OpenEntity:
    """An entity of any type in a text, by characters; `description` explains the type, "" for no description."""

    start: int
    end: int
    type: str
    description: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < _BEYOND:
            raise _offset_error("entity", self.start, self.end, self.type)


@dataclass(frozen=True, slots=True)
class OpenText:
    """A text whose entities have open types: any number of types, nested and overlapping entities too.

    `asked` lists the types that the annotator looked for; other types are unknown. None: the annotator looked for all
    types. The types of the entities always count as asked for.
    """

    text: str
    entities: tuple[OpenEntity, ...] = ()
    asked: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if last := next((entity for entity in self.entities if entity.end > len(self.text)), None):
            length = len(self.text)
            raise InputError(f"entity [{last.start}, {last.end}) ends beyond the text, which has {length} characters")


@dataclass(frozen=True, slots=True)
class EntityLabel:
    """A type that is asked for at run time: the name that its entities get, and a description ("" for none).

    A model that learnt the type in other words `reads` them in place of the name ("": the name).
    """

    name: str
    description: str = ""
    reads: str = ""

    @property
    def text(self) -> str:
        """Return the text that a model reads."""
        words = self.reads or self.name
        return f"{words}: {self.description}" if self.description else words


class Link(NamedTuple):
    """A link in a page's clean text: `text[start:end]` is the anchor, `target` the title as the link names it."""

    start: int
    end: int
    target: str


class Infobox(NamedTuple):
    """A template at the top level of a page, with its named and numbered parameters (values shortened)."""

    template: str
    parameters: tuple[tuple[str, str], ...] = ()


class RawPage(NamedTuple):
    """A page of the dump. `redirect` is the target's title, "" for none; `ns` is None in old exports."""

    page_id: int
    revision: int
    title: str
    ns: int | None
    redirect: str
    model: str
    text: str


@dataclass(frozen=True, slots=True)
class CleanPage:
    """A page without its markup: paragraphs are lines of `text`; links, as columns, point into it, in order.

    `text[starts[n]:ends[n]]` is the anchor of link n, `targets[n]` the title as it names it.
    """

    text: str = ""
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    targets: Sequence[str] = ()
    infoboxes: tuple[Infobox, ...] = ()
    categories: Sequence[str] = ()
    """Their names, without the namespace."""
    dropped_links: Counter[Reason] = field(default_factory=Counter)

    @property
    def links(self) -> tuple[Link, ...]:
        """The links as records."""
        return tuple(map(Link, self.starts, self.ends, self.targets))


@dataclass(frozen=True, slots=True)
class Mention:
    """A link inside one sentence, typed: the last of `class_path` is the deepest class; () is untyped.

    `category` is the class as the corpus's label set sees it, or ENTITY. `source` names the knowledge that typed it.
    `origin` is LINK; own steps may add mentions of other origins.
    """

    start: int
    end: int
    target: str
    resolved_target: str
    class_path: tuple[str, ...] = ()
    source: str = ""
    category: str = ENTITY
    origin: str = LINK


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the corpus; `start` is its first character's place in the page's clean text.

    `copies` is how often the sampling drew it, `expected_copies` the mean of that draw. `unknown`
    are the stretches (start, end, reason) of which the corpus doesn't know whether they are entities.
    """

    wiki: str
    page_id: int
    revision: int
    title: str
    start: int
    text: str
    words: tuple[tuple[int, int], ...]
    mentions: tuple[Mention, ...]
    unknown: tuple[tuple[int, int, str], ...] = ()
    split: str = ""
    copies: int = 1
    expected_copies: float = 1.0

    @property
    def id(self) -> str:
        """The sentence's identity over all runs: `wiki:page:revision:start`."""
        return sentence_id(self.wiki, self.page_id, self.revision, self.start)


def sentence_id(wiki: str, page_id: int, revision: int, start: int) -> str:
    """Return `wiki:page:revision:start`; the only place that writes a sentence's id."""
    return f"{wiki}:{page_id}:{revision}:{start}"
