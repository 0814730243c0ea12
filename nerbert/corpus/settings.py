"""The settings of `nerbert corpus build`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from nerbert.config import Bounds, Settings, refuse
from nerbert.registry import STEPS
from nerbert.words import splitter_named

USUAL_STEPS = ("exclude", "no link", "typing", "split", "filter 1", "filter 2", "filter 3", "sampling")
"""The build's own steps, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings(Settings):
    """How a dump becomes a corpus."""

    seed: int = 1
    """Seed of every coin: split, filter 3, copies. Source: ours."""
    wiki: str = ""
    """Name of the wiki in sentence ids; empty takes the dump's own. Unit: database name. Source: ours."""
    language: str = ""
    """Language of the wiki; empty takes the dump's. If the dump names another one, this one wins with a warning, and
    names the wiki, unless `wiki` does. Decides link trails, sentence ends and which mappings are read. Unit: a
    Wikipedia's code (`no`) or its language's (`nb`); one that is not known is read as English. Source: ours."""
    sentence_splitter: Literal["rules", "punkt"] = "rules"
    """How text is cut into sentences: `rules` and word lists, or `punkt` with the model in `punkt_model` (needs
    `nerbert[punkt]`). Source: ours; NER-BERT §2.2 takes Punkt."""
    punkt_model: str = ""
    """Folder of a Punkt model in NLTK's form: a language's folder in NLTK's data `punkt_tab`, or one that `nerbert
    corpus punkt` made. Source: ours; the paper doesn't say which."""
    word_splitter: Literal["unicode", "icu"] = "unicode"
    """How scripts without spaces are cut into words: each character is one (`unicode`), or by the dictionaries of ICU
    (`icu`, needs `nerbert[icu]`), whose version corpus and taggers then keep. Source: ours."""
    glued: Literal["grow", "drop"] = "grow"
    """What becomes of a link that begins or ends inside a word: it takes in the endings and particles that are glued to
    it (`grow`), or is dropped and counted, as are those that may not grow. Source: ours."""
    lists: bool = False
    """Keep list items as paragraphs of their own. Source: ours; the paper doesn't say."""
    captions: bool = False
    """Keep the captions of pictures as paragraphs of their own, after the page's text. Source: ours; the paper doesn't
    say."""
    split_bytes: Annotated[int, Bounds(at_least=0)] = 0
    """How much of the input becomes one part of the files, read and written by one worker; 0 = by size: a 64th of the
    input, for packed input 1 to 8 MiB, for plain XML 4 to 32 MiB; 16 MiB of XML where the main process must unpack.
    Unit: bytes. Source: ours."""
    label_set: str = "paper315"
    """Which categories mentions get: `paper315`, `dbpedia` (all classes), `4types`, `212types`, `1type` (any entity),
    or the path of a map with class<TAB>label lines. A class outside the set becomes its nearest listed ancestor, else
    ENTITY. Decides filters and copies; whole class paths stay in the corpus. Source: NER-BERT §2.2, §4.3."""
    precedence: str = ""
    """Which knowledge types a title that several know: kinds (`infobox`, `instance-types`, `wikidata`, `table`) or
    names of files, first wins, with commas; what is not named follows in the order of the command line. Source:
    ours."""
    split_by: Literal["page", "sentence"] = "page"
    """What the validation split is drawn by: `page`, or `sentence` as the paper does, so that a page may stand on both
    sides. Source: ours; NER-BERT §3.2 splits sentences at random."""
    validation_ratio: Annotated[float, Bounds(at_least=0, at_most=1)] = 0.1
    """Share of pages (or sentences) in the validation split. Source: NER-BERT §3.2 (90:10)."""
    min_mentions: Annotated[int, Bounds(at_least=0)] = 10
    """Filter 1: a category with fewer typed mentions in the train part becomes ENTITY. Source: NER-BERT §2.3."""
    rare_category: Literal["entity", "drop"] = "entity"
    """What filter 1 does: `entity` turns rare mentions into ENTITY, `drop` drops their sentences. Source: ours; the
    paper drops categories and doesn't say what becomes of their mentions."""
    keep_untyped: bool = False
    """Keep sentences whose links are all untyped (filter 2 off; sentences without a link still go). Source: NER-BERT
    §2.3 drops them."""
    common_categories: Annotated[int, Bounds(at_least=0)] = 20
    """Filter 3 drops some sentences with three or more ENTITY mentions whose categories are all among this many most
    frequent ones, ENTITY counted as one; 0 turns it off. Source: NER-BERT §2.3."""
    alpha: Annotated[float, Bounds(at_least=0, at_most=5)] = 0.7
    """Exponent of the sampling: a category is drawn with p ∝ mentions^alpha; 1 draws categories as often as they occur
    (with `balance=fit`: every sentence once). Source: NER-BERT §2.4, after XLM."""
    sample_size: Annotated[int, Bounds(at_least=0)] = 0
    """Expected sum of all copies; 0 takes the number of training sentences after the filters. Unit: sentences. Source:
    ours; not published."""
    balance: Literal["literal", "fit"] = "literal"
    """How categories become sentences: `literal` draws a category, then a sentence that holds it, so that mentions
    follow an exponent above alpha; `fit` weighs categories until the mentions themselves follow alpha, as in the
    paper's Figure 1. Source: NER-BERT §2.4."""
    max_copies: Annotated[int, Bounds(at_least=0)] = 0
    """Most copies of a sentence; what is cut off goes to the others; 0 = no limit. Source: ours."""
    exclude_ngram_size: Annotated[int, Bounds(at_least=1)] = 8
    """A sentence is excluded if it shares this many words in a row with a text to exclude, or equals one that is
    shorter but has at least four words. Unit: normalised words. Source: ours."""
    steps: tuple[Annotated[str, STEPS], ...] = USUAL_STEPS
    """What becomes of the sentences of pass 1, in this order: the build's own steps, each once and in the usual order,
    with steps of your own anywhere between them (docs/extending/corpus-step.md). A step counts only what those before
    it keep. Source: ours."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        punkt = self.sentence_splitter == "punkt"
        bound = f"{'a folder' if punkt else 'empty'} with sentence_splitter {self.sentence_splitter!r}"
        refuse(bool(self.punkt_model) != punkt, "punkt_model", self.punkt_model, bound)
        usual, whole = tuple(each for each in self.steps if each in USUAL_STEPS), ", ".join(USUAL_STEPS)
        bound = f"a list with all of {whole}, each once, in this order"
        refuse(usual != USUAL_STEPS, "steps", list(self.steps), bound)

    @property
    def own_steps(self) -> list[str]:
        """The user's own among the steps."""
        return [each for each in self.steps if each not in USUAL_STEPS]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for the manifest: of a path its last part alone, since a corpus names no folders."""
        named = {name: Path(getattr(self, name)).name for name in ("label_set", "punkt_model")}
        return asdict(self) | named | {"steps": list(self.steps)}


def word_splitter(settings: CorpusSettings) -> str:
    """Return the name of the word splitter that the settings choose; raise MissingExtra where it isn't installed."""
    return splitter_named(settings.word_splitter)


LATER = frozenset(
    {
        "seed", "label_set", "precedence", "split_by", "validation_ratio", "min_mentions", "rare_category",
        "keep_untyped", "common_categories", "alpha", "sample_size", "balance", "max_copies", "exclude_ngram_size",
        "steps",
    }
)  # fmt: skip
"""Settings that only the steps after pass 1 read; with any other changed, a half-made corpus must start again."""
