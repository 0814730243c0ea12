"""The settings of `nerbert corpus build`."""

from dataclasses import dataclass

from nerbert.config import refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings:
    """How a dump becomes a corpus."""

    seed: int = 1
    """Seed of every coin: split, filter 3, copies. Unit: none. Source: ours."""
    wiki: str = ""
    """Name of the wiki in sentence ids; empty takes the dump's own. Unit: database name. Source: ours."""
    language: str = ""
    """Language of the wiki; empty takes the dump's own. Decides link trails, sentence ends and which mappings are
    read. Unit: code such as `en`. Source: ours."""
    lists: bool = False
    """Keep list items as paragraphs of their own. Unit: none. Source: ours; the paper doesn't say."""
    max_page_characters: int = 5_000_000
    """Pages with more wikitext are dropped and counted. Unit: characters. Source: ours; MediaWiki's own
    limit is 2 MiB."""
    shard_sentences: int = 50_000
    """Size of a Parquet shard. Unit: sentences, rounded up to whole pages. Source: ours."""
    validation_share: float = 0.1
    """Share of pages in the validation split. Unit: 0–1. Source: NER-BERT §3 (90:10, of sentences; by page is ours, so
    that no page stands on both sides)."""
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
    """Exponent of the sampling: a category is drawn with p ∝ mentions^alpha; 1 samples as they are. Unit: none. Source:
    NER-BERT §2.2, after XLM."""
    sample_size: int = 0
    """Expected sum of all copies; 0 takes the number of training sentences after the filters. Unit: sentences. Source:
    ours; not published."""
    exclude_ngram: int = 8
    """A sentence is excluded if it shares this many words in a row with a text to exclude. Unit: normalised words.
    Source: ours."""

    def __post_init__(self) -> None:
        for name in ("validation_share", "drop_at_3", "drop_at_4", "drop_above_4"):
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, name, value, "between 0 and 1")
        for name in ("max_page_characters", "shard_sentences", "exclude_ngram"):
            refuse(getattr(self, name) < 1, name, getattr(self, name), "at least 1")
        for name in ("min_mentions", "common_categories", "sample_size"):
            refuse(getattr(self, name) < 0, name, getattr(self, name), "at least 0")
        refuse(not 0 <= self.alpha <= 5, "alpha", self.alpha, "between 0 and 5")
        refuse(self.rare_category not in ("entity", "drop"), "rare_category", self.rare_category, "'entity' or 'drop'")
