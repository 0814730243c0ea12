"""The settings of `nerbert corpus build`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval

from nerbert.config import Settings, refuse
from nerbert.registry import Registry

STEPS: Registry[Any] = Registry(
    "corpus step",
    "nerbert.steps",
    {
        "exclude": "nerbert.corpus.filters:ExcludedTexts",
        "no link": "nerbert.corpus.filters:WithoutLink",
        "typing": "nerbert.corpus.mentions:Typing",
        "unknown": "nerbert.corpus.unknown:UnknownStretches",
        "split": "nerbert.corpus.filters:EqualInTrain",
        "filter 1": "nerbert.corpus.filters:RareCategories",
        "filter 2": "nerbert.corpus.filters:OnlyUntyped",
        "filter 3": "nerbert.corpus.filters:CommonCategories",
        "sampling": "nerbert.corpus.filters:Sampling",
    },
)
"""The steps of a corpus. The build creates the built-in steps, in this order, and yours as `Class(settings)`."""
BUILT_IN_STEPS = STEPS.built_in
_OPTIONAL = ("unknown",)
USUAL_STEPS = tuple(step for step in BUILT_IN_STEPS if step not in _OPTIONAL)
"""The steps that every corpus has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings(Settings):
    """Settings for building a corpus from a dump."""

    removed: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("sentence_splitter", "punkt_model"), "sentences are split by rules, with fewer errors than Punkt's"
    ) | {
        "max_copies": "sentences are drawn without a limit; a larger alpha repeats those of rare categories less",
        "captions": "captions of pictures are never kept; list items are, with lists=true",
        "precedence": "the first of --knowledge that types a title wins; name the files in that order",
    }

    seed: int = 1
    """Random seed of the split, filter 3 and the copies. Source: ours."""
    wiki: str = ""
    """Name of the wiki in sentence ids; empty: the dump's. Unit: database name. Source: ours."""
    language: str = ""
    """Language of the wiki; empty: the dump's. If the dump names another language, this setting wins with a warning,
    and gives the wiki's name, unless `wiki` is set. Determines link trails, sentence ends and the mappings to read.
    Unit: a Wikipedia's code (`no`) or its language's (`nb`); an unknown one is read as English. Source: ours."""
    word_splitter: Literal["unicode", "icu"] = "unicode"
    """Word splitter for scripts without spaces: `unicode` makes each character a word, `icu` uses ICU's dictionaries
    (needs `nerbert[icu]`; corpus and taggers then require the same version of ICU). Source: ours."""
    glued: Literal["grow", "drop"] = "grow"
    """Treatment of a link that begins or ends inside a word: `grow` extends it by the endings and particles attached to
    it, `drop` drops and counts it. Links that can't be extended are always dropped. Source: ours."""
    lists: bool = False
    """Keep list items as separate paragraphs. Source: ours; the paper doesn't say."""
    split_bytes: Annotated[int, Interval(ge=0)] = 0
    """Size of one part of the input, which one worker reads and writes; 0 = a 64th of the input, but 1 to 8 MiB for
    compressed input, 4 to 32 MiB for plain XML, and 16 MiB of XML if the main process must decompress. Unit: bytes.
    Source: ours."""
    label_set: str = "paper315"
    """The categories of mentions: `paper315`, `dbpedia` (all classes), `4types`, `212types`, `1type` (any
    entity), or the path of a map with `class<TAB>label` lines. A class outside the set becomes its nearest listed
    ancestor, else ENTITY. Filters and copies use categories; whole class paths stay in the corpus. Source: NER-BERT
    §2.2, §4.3."""
    evidence: tuple[Literal["title", "category", "first sentence"], ...] = ()
    """Evidence for the class of a link target that the knowledge doesn't type: parts of its `title`, and its page's
    `category` and `first sentence`, if typed titles with the same part share a class. Source: ours."""
    evidence_precision: Annotated[float, Interval(ge=0, le=1)] = 0.9
    """Minimum share of the typed titles with a part that have its class, as the lower bound of an 80 % interval.
    Source: ours."""
    split_by: Literal["page", "sentence"] = "page"
    """Unit of the validation split: `page`, or `sentence` as in the paper, so that a page may be in both splits.
    Source: ours; NER-BERT §4.4 splits sentences at random."""
    validation_ratio: Annotated[float, Interval(ge=0, le=1)] = 0.1
    """Share of pages (or sentences) in the validation split. Source: NER-BERT §4.4 (90:10)."""
    min_mentions: Annotated[int, Interval(ge=0)] = 10
    """Filter 1: a category with fewer typed mentions in the train split becomes ENTITY. Source: NER-BERT §2.3."""
    rare_category: Literal["entity", "drop"] = "entity"
    """Action of filter 1: `entity` turns rare mentions into ENTITY, `drop` drops their sentences. Source: ours; the
    paper drops categories and doesn't say what happens to their mentions."""
    keep_untyped: bool = False
    """Keep sentences whose links are all untyped (filter 2 off; sentences without a link are still dropped). Source:
    NER-BERT §2.3 drops them."""
    common_categories: Annotated[int, Interval(ge=0)] = 20
    """Filter 3 drops some sentences with three or more ENTITY mentions whose categories are all among this many most
    frequent ones, ENTITY counted as one; 0 turns it off. Source: NER-BERT §2.3."""
    alpha: Annotated[float, Interval(ge=0, le=5)] = 0.7
    """Exponent of the sampling: a category is drawn with p ∝ mentions^alpha; 1 draws categories as often as they occur
    (with `balance=fit`: every sentence once). Source: NER-BERT §2.4, after XLM."""
    sample_size: Annotated[int, Interval(ge=0)] = 0
    """Expected sum of all copies; 0 = the number of training sentences after the filters. Unit: sentences. Source:
    ours; not published."""
    balance: Literal["literal", "fit"] = "literal"
    """Sampling method: `literal` draws a category, then a sentence that contains it, so that mentions follow an
    exponent above alpha; `fit` weights categories until the mentions themselves follow alpha, as in the paper's Figure
    1. Source: NER-BERT §2.4."""
    exclude_ngram_size: Annotated[int, Interval(ge=1)] = 8
    """A sentence is excluded if it shares this many consecutive words with a text to exclude, or equals a shorter one
    of at least four words. Unit: normalised words. Source: ours."""
    steps: tuple[Annotated[str, STEPS], ...] = USUAL_STEPS
    """The steps after pass 1, in order: the built-in steps, each once and in the usual order, with your own steps
    anywhere between them (docs/extending/corpus-step.md). `unknown`, after `typing`, marks spans that may be names, so
    that the loss ignores them. A step counts only sentences that earlier steps keep. Source: ours."""
    unknown_min_mentions: Annotated[int, Interval(ge=1)] = 5
    """Step `unknown`: a span of words is unknown if it is a mention elsewhere in the train split at least this often,
    and in at least half of its uses. Unit: mentions. Source: ours."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        # The build relies on the order of its own steps; others may lie anywhere between
        built_in = tuple(step for step in self.steps if step in BUILT_IN_STEPS)
        expected = tuple(step for step in BUILT_IN_STEPS if step in USUAL_STEPS or step in self.steps)
        names = ", ".join(f"({step})" if step in _OPTIONAL else step for step in BUILT_IN_STEPS)
        bound = f"a list with all of {names}, each once, in this order; those in brackets may be left out"
        refuse(built_in != expected, "steps", list(self.steps), bound)

    @property
    def own_steps(self) -> list[str]:
        """The user-defined steps."""
        return [step for step in self.steps if step not in BUILT_IN_STEPS]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for the manifest, with only the last part of paths, so that it contains no folders."""
        return asdict(self) | {"label_set": Path(self.label_set).name, "steps": list(self.steps)}


PASS_1 = frozenset({"wiki", "language", "word_splitter", "glued", "lists", "split_bytes"})
"""Settings that pass 1 reads; if one of them changes, an unfinished corpus must start again."""
