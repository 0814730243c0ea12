"""The settings of `nerbert corpus build`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nerbert.config import refuse

_SPLITTERS = {"rules": False, "punkt": True, "punkt-trained": True, "punkt-abbreviations": False}
"""Sentence splitter → whether it needs `punkt_model`."""
_SPLITTER_NAMES = "one of " + ", ".join(map(repr, _SPLITTERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings:
    """How a dump becomes a corpus."""

    seed: int = 1
    """Seed of every coin: split, filter 3, copies. Unit: none. Source: ours."""
    wiki: str = ""
    """Name of the wiki in sentence ids; empty takes the dump's own. Unit: database name. Source: ours."""
    language: str = ""
    """Language of the wiki, which the dump must not contradict; empty takes the dump's own. Decides link trails,
    sentence ends and which mappings are read. Unit: code such as `en`. Source: ours."""
    sentence_splitter: str = "rules"
    """How text is cut into sentences: `rules` are ours; `punkt` is the paper's, with NLTK's parameters; `punkt-trained`
    is Punkt with parameters of `nerbert corpus punkt`; `punkt-abbreviations` is Punkt with our abbreviations only.
    Unit: none. Source: ours; NER-BERT §2.1 takes `punkt`."""
    punkt_model: str = ""
    """Parameters of Punkt: for `punkt` the folder `punkt_tab` of NLTK's data or a language's folder in it, for
    `punkt-trained` the JSON file that `nerbert corpus punkt` made. Unit: path. Source: ours."""
    lists: bool = False
    """Keep list items as paragraphs of their own. Unit: none. Source: ours; the paper doesn't say."""
    captions: bool = False
    """Keep the captions of pictures as paragraphs of their own, after the page's text. Unit: none. Source: ours; the
    paper doesn't say."""
    max_page_characters: int = 5_000_000
    """Pages with more wikitext are dropped and counted. Unit: characters. Source: ours; MediaWiki's own
    limit is 2 MiB."""
    split_bytes: int = 0
    """How much of the input becomes one part of the files, read and written by one worker; 0 = by size: a 64th of the
    input, for packed input 1 to 8 MiB, for plain XML 4 to 32 MiB; 16 MiB of XML where the main process must unpack.
    Unit: bytes. Source: ours."""
    label_set: str = "paper315"
    """Which categories mentions get: `paper315`, `dbpedia` (all classes), `4types`, `212types`, `1type` (any entity),
    or the path of a map with class<TAB>label lines. A class outside the set becomes its nearest listed ancestor, else
    ENTITY. Decides filters and copies; whole class paths stay in the corpus. Unit: none. Source: NER-BERT §2.2, §3."""
    precedence: str = ""
    """Which knowledge types a title that several know: kinds (`infobox`, `instance-types`, `wikidata`, `table`) or
    names of files, first wins, with commas; what is not named follows in the order of the command line. Unit: none.
    Source: ours."""
    split_by: str = "page"
    """What the validation split is drawn by: `page`, or `sentence` as the paper does, so that a page may stand on both
    sides. Unit: none. Source: ours; NER-BERT §3 splits sentences at random."""
    validation_share: float = 0.1
    """Share of pages (or sentences) in the validation split. Unit: 0–1. Source: NER-BERT §3 (90:10)."""
    min_mentions: int = 10
    """Filter 1: a category with fewer typed mentions in the train part becomes ENTITY. Unit: mentions. Source:
    NER-BERT §2.2."""
    rare_category: str = "entity"
    """What filter 1 does: `entity` turns rare mentions into ENTITY, `drop` drops their sentences. Unit: none. Source:
    ours; the paper drops categories and doesn't say what becomes of their mentions."""
    keep_untyped: bool = False
    """Keep sentences whose links are all untyped (filter 2 off; sentences without a link still go). Unit: none.
    Source: NER-BERT §2.2 drops them."""
    common_categories: int = 20
    """Filter 3 looks at sentences whose categories are all among this many most frequent ones; 0 turns it off. Unit:
    categories, ENTITY counted as one. Source: NER-BERT §2.2."""
    drop_at_3: float = 0.3
    """Filter 3: probability of dropping at three ENTITY mentions. Unit: 0–1. Source: NER-BERT §2.2."""
    drop_at_4: float = 0.5
    """Filter 3: probability of dropping at four ENTITY mentions. Unit: 0–1. Source: NER-BERT §2.2."""
    drop_above_4: float = 0.7
    """Filter 3: probability of dropping at five or more ENTITY mentions. Unit: 0–1. Source: NER-BERT §2.2."""
    alpha: float = 0.7
    """Exponent of the sampling: a category is drawn with p ∝ mentions^alpha; 1 draws categories as often as they occur
    (with `balance=fit`: every sentence once). Unit: none. Source: NER-BERT §2.2, after XLM."""
    sample_size: int = 0
    """Expected sum of all copies; 0 takes the number of training sentences after the filters. Unit: sentences. Source:
    ours; not published."""
    balance: str = "literal"
    """How categories become sentences: `literal` draws a category, then a sentence that holds it, so that mentions
    follow an exponent above alpha; `fit` weighs categories until the mentions themselves follow alpha, as in the
    paper's Figure 1. Unit: none. Source: NER-BERT §2.2."""
    max_copies: int = 0
    """Most copies of a sentence; what is cut off goes to the others; 0 = no limit. Unit: copies. Source: ours."""
    exclude_ngram: int = 8
    """A sentence is excluded if it shares this many words in a row with a text to exclude. Unit: normalised words.
    Source: ours."""

    def __post_init__(self) -> None:
        for name in ("validation_share", "drop_at_3", "drop_at_4", "drop_above_4"):
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, name, value, "between 0 and 1")
        for name in ("max_page_characters", "exclude_ngram"):
            refuse(getattr(self, name) < 1, name, getattr(self, name), "at least 1")
        for name in ("min_mentions", "common_categories", "sample_size", "split_bytes", "max_copies"):
            refuse(getattr(self, name) < 0, name, getattr(self, name), "at least 0")
        refuse(self.sentence_splitter not in _SPLITTERS, "sentence_splitter", self.sentence_splitter, _SPLITTER_NAMES)
        needed, given = _SPLITTERS.get(self.sentence_splitter, False), bool(self.punkt_model)
        because = f"with sentence_splitter {self.sentence_splitter!r}"
        refuse(needed and not given, "punkt_model", "", f"a path {because}")
        refuse(given and not needed, "punkt_model", self.punkt_model, f"empty {because}")
        refuse(not 0 <= self.alpha <= 5, "alpha", self.alpha, "between 0 and 5")
        refuse(self.rare_category not in ("entity", "drop"), "rare_category", self.rare_category, "'entity' or 'drop'")
        refuse(self.split_by not in ("page", "sentence"), "split_by", self.split_by, "'page' or 'sentence'")
        refuse(self.balance not in ("literal", "fit"), "balance", self.balance, "'literal' or 'fit'")

    def told(self) -> dict[str, Any]:
        """The settings as the manifest tells them: of a path its last part, since a corpus names no folders."""
        names = {name: Path(getattr(self, name)).name for name in ("punkt_model", "label_set")}
        return asdict(self) | names


LATER = frozenset(
    {
        "seed", "label_set", "precedence", "split_by", "validation_share", "min_mentions", "rare_category",
        "keep_untyped", "common_categories", "drop_at_3", "drop_at_4", "drop_above_4", "alpha", "sample_size",
        "balance", "max_copies", "exclude_ngram",
    }
)  # fmt: skip
"""Settings that only the steps after pass 1 read; with any other changed, a half-made corpus must begin anew."""
