"""Settings of a pre-training, besides those of its objective and sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval, MultipleOf

from nerbert.config import refuse
from nerbert.encoder.open_texts import OpenTypesSettings
from nerbert.errors import SettingsError
from nerbert.training.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings(TrainSettings):
    """How an encoder is pre-trained as a tagger on a corpus (NER-BERT §3)."""

    removed: ClassVar[Mapping[str, str]] = {
        **TrainSettings.removed,
        "resample_each_epoch": "copies are drawn once, with the corpus",
    }

    corpus: tuple[Path, ...] = ()
    """Folder that `nerbert corpus build` made; optional with `open_types.files`. Objectives that learn from names of
    types (`names`, `concepts`, `zero_shot`) take a list too, of other wikis and languages. Source: ours."""
    shares: tuple[Annotated[float, Interval(gt=0, lt=1e6)], ...] = ()
    """Weight of each source in an epoch: the corpora in order, then `open_types.files`. Each epoch draws from them anew
    in that proportion, and repeats a source that is too small; its size stays about the same. Empty: each text as often
    as it has copies. Source: ours."""
    wordings: bool = True
    """Whether objectives that learn from names of types read another word for half of them in each step: a synonym, or
    the name of the class beside the ontology's. A description is then read in half of the steps. Validation reads the
    names as they are. Source: ours."""
    backbone: str = "fresh"
    """Encoder to start from: a folder, a name on the hub, `embedded` for the small one in the package (`embedded-open`
    is its zero-shot tagger), or `fresh` for a small BERT with random weights and a tokenizer trained on the corpus.
    Source: NER-BERT §3.1 takes BERT-base-cased."""
    label_set: str = ""
    """Categories to train on: empty takes the corpus's own; `4types`, `212types`, `1type` and all others of `corpus
    build` are derived from the class paths of the same sentences. Source: NER-BERT §4.3."""
    num_frozen_layers: Annotated[int, Interval(ge=-1, lt=1e6)] = -1
    """Lowest layers to freeze, with the embeddings. 0: all are trained. -1: by objective, half of them with `concepts`,
    else none. Of six layers half was far too many (docs/results). Source: NuNER freezes 6 of 12; NER-BERT none."""
    cache: str = ""
    """Folder for the corpus's subwords, made once for each corpus, label set and tokenizer, then memory-mapped. May be
    deleted at any time. Empty: `nerbert` in the user's cache folder. Source: ours."""
    save_minutes: Annotated[float, Interval(ge=0, lt=1e6)] = 10.0
    """Time between checkpoints, the most that a killed run loses. The same command resumes from the last checkpoint,
    with the same result. SIGTERM saves one too. 0: only by steps. Unit: minutes. Source: ours."""
    save_steps: Annotated[int, Interval(ge=0)] = 0
    """Steps between checkpoints; 0: only by time. Source: ours."""
    save_total_limit: Annotated[int, Interval(ge=1)] = 2
    """How many checkpoints to keep until the end: the newest ones. Source: ours."""
    tensorboard: str = ""
    """Folder for TensorBoard's event files, written during training (`nerbert[tensorboard]`). Empty: none; the
    encoder's log.jsonl always has the figures of each step. Source: ours."""
    max_eval_samples: Annotated[int, Interval(ge=0)] = 5000
    """Validation sentences scored in an evaluation, drawn by seed; 0 takes all. Source: ours."""
    evaluation_steps: Annotated[int, Interval(ge=0)] = 0
    """Steps between evaluations, each of which may become the kept checkpoint, and an entry of the log; the end is
    scored too. 0: once an epoch, which is 15,000 steps at the paper's size. Source: ours; the paper doesn't say."""
    select: Literal["last", "dev"] = "dev"
    """Which model is kept: with `dev` that with the best score on validation sentences, or the `last`, say for
    `self_training`: what it finds beyond the labels counts as wrong there. Source: ours; CoFEE's public code has
    `dev`."""
    fresh_num_layers: Annotated[int, Interval(ge=1, le=1000)] = 4
    """Layers of a fresh encoder. Source: ours."""
    fresh_hidden_size: Annotated[int, Interval(ge=64, le=16384), MultipleOf(64)] = 256
    """Width of a fresh encoder; its heads are 64 wide. Unit: dimensions. Source: ours."""
    fresh_vocab_size: Annotated[int, Interval(ge=100, le=1_000_000)] = 8000
    """Largest vocabulary of a fresh cased WordPiece tokenizer. Unit: subwords. Source: ours."""

    @property
    def corpus_folder(self) -> Path:
        """Return the corpus where there must be exactly one."""
        if not self.corpus:
            raise SettingsError("setting corpus is missing: it has no default", setting="corpus")
        several = f"one folder with objective = {self.objective!r}; those that learn from names of types take several"
        refuse(len(self.corpus) > 1, "corpus", [*map(str, self.corpus)], several)
        return self.corpus[0]

    def __post_init__(self) -> None:
        TrainSettings.__post_init__(self)
        refuse(not self.backbone, "backbone", self.backbone, "a folder, a name on the hub, 'embedded' or 'fresh'")
        cut = self.num_layers != 0 and self.backbone == "fresh"
        refuse(cut, "num_layers", self.num_layers, "0 with backbone = 'fresh', which has fresh_num_layers")
        corpora = [*map(str, self.corpus)]
        open_types = self.of(OpenTypesSettings)
        files = bool(open_types.files)
        language = open_types.language
        ours = "left out beside a corpus, which has its own language"
        refuse(bool(language and corpora), "open_types.language", language, ours)
        refuse(len({*corpora}) < len(corpora), "corpus", corpora, "different folders")
        named = f"the corpora in order{', then open_types.files' if files else ''}"
        refuse(
            bool(self.shares) and len(self.shares) != len(corpora) + files,
            "shares",
            list(self.shares),
            f"a number for each source, {len(corpora) + files}: {named}",
        )
