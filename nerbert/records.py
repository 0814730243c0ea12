"""The records that all stages share.

Offsets are Python string indices (code points), half-open, and checked when a record is made. Records are frozen, so a
changed sentence is a new object. Links and infoboxes, of which there are hundreds of millions, are named tuples, which
are also immutable, but several times faster to make.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple

from nerbert.errors import InputError

TRAIN, VALIDATION = "train", "validation"
"""The two parts of a corpus's split."""
_BEYOND = 1 << 63
"""Larger than any offset in a text. Python can't print a number of over 4,300 digits."""
ENTITY = "ENTITY"
"""The category of a mention whose class is unknown (NER-BERT §2.2)."""
LINK = "link"
"""The origin of a mention that is a link."""


class Reason(StrEnum):
    """Reasons for dropping a page, link or sentence; the manifest counts them for each step.

    `LINK_OUTSIDE_PROSE` counts links in lists, headings, captions and tables (in captions and tables only those whose
    target has no colon), and in sentences with quotes that a removed template left empty. Links in templates and
    references are not counted.
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


SPAN_COLUMNS: Mapping[str, Any] = {part.name: part.type for part in fields(Span) if part.name != "text"}
"""The fields of a span beside its text, with their types: its cells in a table."""
SPAN_FIELDS: Mapping[str, Any] = {"text": str, "type": str, **SPAN_COLUMNS}
"""All fields of a span, in the order that files and answers have them. A field of `Span` is in all of these."""


def span_json(span: Span) -> dict[str, Any]:
    """Return a span as JSON: text, type, character start and end, confidence; fractions have four digits."""
    values = ((name, getattr(span, name)) for name in SPAN_FIELDS)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in values}


def _offset_error(noun: str, start: int, end: int, type_: str) -> InputError:
    # Printing such a number raises an error of its own, or fills the screen.
    if max(abs(start), abs(end)) >= _BEYOND:
        return InputError(f"{noun} of type {type_!r:.80} has an offset of more than 18 digits, and no text is so long")
    return InputError(f"{noun} [{start}, {end}) of type {type_!r:.80} is empty or negative")


@dataclass(frozen=True, slots=True)
class Example:
    """An annotated sentence: its text, the character span of each word, and its entities as character spans.

    `asked` lists the types that were looked for; None means all types of the data. The character spans in `unknown`
    have no annotation: their words may be entities of any type. With `partial`, only some entities are annotated (for
    example links), so other words may be entities, too.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    spans: tuple[Span, ...] = ()
    asked: tuple[str, ...] | None = None
    unknown: tuple[tuple[int, int], ...] = ()
    partial: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words as strings."""
        return tuple(self.text[start:end] for start, end in self.words)


class Repair(StrEnum):
    """Repairs and omissions when annotated data is read.

    `TAG` counts tags that continue no entity or break their scheme, `SPELLING` tags in another spelling; `TRIMMED`
    spans and types with white space around them; `EMPTY` spans of only white space; `REJECTED` texts that an annotator
    rejected or skipped; `UNANNOTATED` texts that only a model tagged; `ANNOTATOR` the spans of a text's second
    annotator and further ones; `UNTYPED` entities without a value, `PIECES` discontinuous entities; `PASSED_OVER`
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
"""The number of repairs of each kind."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text as in a file, with its annotated entities: one or more sentences.

    Its spans may overlap and cut words. `words` is None if the file has no words. When data is split, texts of the same
    `group` stay together; if it is "", equal texts do. `fields` has the other fields of the text in the file, in JSON
    types, `line` the line (or row) for messages, 0 for none. `tagged`: a model made the spans, not a person. `partial`:
    a person annotated only the spans, so all other words are unknown. `size` is the number of bytes in the input, if
    rows are streamed.
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
        """The text as a sentence with its words, without entities; None if the file has no words."""
        return None if self.words is None else Example(self.text, self.words)


@dataclass(frozen=True, slots=True)
class OpenEntity:
    """An entity of any type in a text, with character offsets; `description` explains the type ("" for none)."""

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
    types. The types of the entities always count as looked for. `other_names` are those of types, in another language,
    say.
    """

    text: str
    entities: tuple[OpenEntity, ...] = ()
    asked: tuple[str, ...] | None = None
    other_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if last := next((entity for entity in self.entities if entity.end > len(self.text)), None):
            length = len(self.text)
            raise InputError(f"entity [{last.start}, {last.end}) ends beyond the text, which has {length} characters")


@dataclass(frozen=True, slots=True)
class EntityLabel:
    """A type requested at run time: the name for its entities, and a description ("" for none).

    If a model learnt the type by another name, it `reads` that in place of the name ("": the name).
    """

    name: str
    description: str = ""
    reads: str = ""

    @property
    def text(self) -> str:
        """The text that a model reads."""
        words = self.reads or self.name
        return f"{words}: {self.description}" if self.description else words


class Link(NamedTuple):
    """A link in a page's clean text: `text[start:end]` is the anchor, `target` the title as written in the link."""

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
    """A page without its markup: paragraphs are lines of `text`; links, stored as columns, are in text order.

    `text[starts[n]:ends[n]]` is the anchor of link n, `targets[n]` its title as written in the link.
    """

    text: str = ""
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    targets: Sequence[str] = ()
    infoboxes: tuple[Infobox, ...] = ()
    categories: Sequence[str] = ()
    """The names of its categories, without the namespace."""
    dropped_links: Counter[Reason] = field(default_factory=Counter)

    @property
    def links(self) -> tuple[Link, ...]:
        """The links as records."""
        return tuple(map(Link, self.starts, self.ends, self.targets))


@dataclass(frozen=True, slots=True)
class Mention:
    """A typed link inside one sentence: `class_path` ends with the deepest class; () is untyped.

    `category` is the label of the class in the corpus's label set, or ENTITY. `source` names the knowledge that typed
    it. `origin` is LINK; users' steps may add mentions of other origins.
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
    """A sentence of the corpus; `start` is the offset of its first character in the page's clean text.

    `copies` is the number of times that sampling drew it, `expected_copies` the expected value of that number.
    `unknown` lists spans (start, end, reason) that may or may not be entities.
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
    """Return `wiki:page:revision:start`; no other function makes the id of a sentence."""
    return f"{wiki}:{page_id}:{revision}:{start}"
