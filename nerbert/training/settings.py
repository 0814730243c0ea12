"""The settings of `nerbert pretrain`, `nerbert finetune` and `nerbert distil`, and those that every training shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from nerbert.config import Bounds, Settings, refuse
from nerbert.errors import SettingsError
from nerbert.model.gliner.config import Architecture
from nerbert.model.tokenizer import OnTooLong
from nerbert.registry import OBJECTIVES


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings(Settings):
    """How a model is trained."""

    objective: Annotated[str, OBJECTIVES] = "tagging"
    """What is learnt: `tagging`, entities of the data's types; `mlm` (pre-training alone), masked subwords of the same
    sentences, the control that has the text without the labels; `concepts` (pre-training alone), names of open types by
    contrast; `self_training`, as `tagging`, but from the second epoch on the model labels all sentences anew; `typing`
    (pre-training alone), the data's types and clusters of entities; `zero_shot`, entities of any types, told by name;
    `distillation` (fine-tuning alone), as `tagging`, but entities count as much as their confidences say; or your own
    as `module:Class`. Source: NER-BERT §3.1; Devlin et al. 2019 §3.1; NuNER (Bogdanov et al. 2024); CoFEE (Xue et al.
    2020); GLiNER (Zaratiana et al. 2024); Hinton et al. 2015."""
    label_all_tokens: bool = False
    """Whether a word's further subwords give loss too, as the inside of its entity; a word is read off its first
    subword in any case. Source: NER-BERT §3.1 (first subwords alone)."""
    label_smoothing: Annotated[float, Bounds(at_least=0, below=1)] = 0.0
    """Share of each label that is spread over all classes. Source: ours; 0 as in the paper."""
    outside_weight: Annotated[float, Bounds(at_least=0, below=1e6)] = 1.0
    """Weight of words outside of any entity in the loss: in a corpus many of them are names without a link. Source:
    ours; 1 as in the paper."""
    max_types: Annotated[int, Bounds(at_least=1, at_most=1000)] = 25
    """With `zero_shot`: most types that a text is asked for at once. Source: GLiNER's public code."""
    positive_weight: Annotated[float, Bounds(above=0, below=1e6)] = 2.0
    """With `zero_shot`: weight in the loss of a span that is of a type; one that isn't has 1. Source: GLiNER's public
    code of the first models."""
    seed: int = 1
    """Seed of the head's weights, of dropout and of the order of sentences. Source: ours."""
    epochs: Annotated[float, Bounds(above=0, below=1e6)] = 3.0
    """Passes over the training data, copies included. Source: ours; the paper doesn't say."""
    min_steps: Annotated[int, Bounds(at_least=0)] = 0
    """Fewest updates: a training set too small for that many in `epochs` is gone through more often. `max_steps`
    wins over it. 0: no bound. Source: ours."""
    max_steps: Annotated[int, Bounds(at_least=0)] = 0
    """Most updates; the schedule ends there. It wins over `min_steps` and `epochs`. Equal to `min_steps` it fixes the
    number of updates, whatever the size of the data. 0: no bound. Source: ours."""
    batch_size: Annotated[int, Bounds(at_least=1)] = 32
    """Sentences (windows, where one is longer than the model) per step. Unit: windows. Source: ours."""
    max_tokens_per_batch: Annotated[int, Bounds(at_least=1)] = 8192
    """A step's sentences go through the model in micro-batches of at most this size, and of smaller ones where memory
    runs out. Changes memory and speed, never what is summed (rounding, and which units drop out, differ). Unit:
    subwords, padding included. Source: ours."""
    learning_rate: Annotated[float, Bounds(above=0, below=1e6)] = 1e-4
    """Highest learning rate of AdamW. Source: ours, for small encoders."""
    weight_decay: Annotated[float, Bounds(at_least=0, below=1e6)] = 0.01
    """AdamW's weight decay; biases and norms have none. Source: ours; the paper doesn't say."""
    warmup_ratio: Annotated[float, Bounds(at_least=0, at_most=1)] = 0.1
    """Share of steps in which the rate rises from 0; from then on `schedule` holds. Source: ours; the paper doesn't
    say."""
    schedule: Literal["linear", "constant"] = "linear"
    """The learning rate after the warm-up: `linear` lets it fall to 0 in a straight line, `constant` keeps it. Source:
    ours, as in BERT's fine-tuning; the paper doesn't say; CrossNER's code has `constant`."""
    max_grad_norm: Annotated[float, Bounds(above=0, below=1e6)] = 1.0
    """Largest norm of a gradient. Source: ours; the paper doesn't say."""
    max_length: Annotated[int, Bounds(at_least=8)] = 256
    """Longest window; longer sentences are cut into overlapping windows at words, and nothing is lost. Unit: subwords.
    Source: ours; the paper doesn't say."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`bf16` (weights stay fp32), `fp32`, or `auto`: bf16 where the processor has it. Source: ours."""
    num_layers: Annotated[int, Bounds(at_least=0, below=1e6)] = 0
    """Lowest layers of the backbone that are kept, the others are cut off: smaller and faster, and it knows less and
    must be trained on. 0: all. Source: Sajjad et al. 2020 §3 (dropping the top layers costs least)."""
    threads: Annotated[int, Bounds(at_least=0, at_most=4096)] = 0
    """Threads of torch on a CPU; 0 leaves torch's own choice. Two processes on one machine: 1 each. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings(TrainSettings):
    """How an encoder is pre-trained as a tagger on a corpus (NER-BERT §3)."""

    corpus: Path | None = None
    """Folder that `nerbert corpus build` made; only with `open_types` may it be left out. Source: ours."""
    open_types: tuple[Path, ...] = ()
    """With `concepts` or `zero_shot`: files of texts with open types (JSON lines), instead of a corpus or beside it.
    Source: NuNER (Bogdanov et al. 2024) takes a million sentences that a language model annotated."""
    open_types_dev: tuple[Path, ...] = ()
    """Files of open types that are held out and scored, in place of one text in ten of `open_types`: other domains show
    best when a model is trained too long. Texts of theirs are trained on nowhere. Source: ours."""
    open_types_copies: Annotated[float, Bounds(above=0, below=1e6)] = 1.0
    """How often a text of `open_types` comes in an epoch, as a sentence of the corpus has copies: 0.5 takes every
    second one, by chance, 3 takes each three times. Source: ours."""
    open_types_asked: Literal["file", "all"] = "file"
    """Which types were looked for in a text of `open_types`, so that no mark of them means none: those that the `file`
    says, or `all`, whatever it says. Source: NuNER's and GLiNER's trainings take all."""
    backbone: str = "fresh"
    """Encoder to start from: a folder, a name on the hub, `embedded` or `embedded-mlm` for the small ones in the
    package (with types of links, masked words alone; `embedded-open` is a zero-shot tagger), or `fresh` for a small
    BERT with random weights and a tokenizer trained on the corpus. Source: NER-BERT §3.1 takes BERT-base-cased."""
    label_set: str = ""
    """Categories to train on: empty takes the corpus's own; `4types`, `212types`, `1type` and all that `corpus build`
    knows are read off the class paths of the same sentences. Source: NER-BERT §4.3."""
    gazetteers: tuple[Path, ...] = ()
    """Lists of names whose types take the place of the corpus's categories: of a `.tsv` each line is entry, tab, type;
    of any other file an entry, its type the file's stem. Of an entry that stands twice the first one counts; those of
    one letter are left out. Source: CoFEE (Xue et al. 2020)."""
    gazetteer_match: Literal["anchors", "text"] = "anchors"
    """What is looked up in `gazetteers`: the text of each link (`anchors`; the others are O), or the longest runs of
    words in all `text`, links or not: more entities and more noise (`nerbert[gazetteers]`). Source: CoFEE's public code
    has anchors."""
    gazetteer_max_words: Annotated[int, Bounds(at_least=0, below=1e6)] = 30
    """With `gazetteers`: longest sentence, others are left out. 0: none is. Unit: words. Source: CoFEE's public
    code."""
    self_training_threshold: Annotated[float, Bounds(at_least=0, below=1)] = 0.1
    """With `self_training`: probability that a span's beginning and its end must exceed. Low values find what the
    labels lack. Source: CoFEE."""
    mlm_probability: Annotated[float, Bounds(above=0, at_most=1)] = 0.15
    """Share of subwords that `mlm` asks for: 80 % of them masked, 10 % another subword, 10 % as they are. Source:
    Devlin et al. 2019 §3.1."""
    num_frozen_layers: Annotated[int, Bounds(at_least=-1, below=1e6)] = -1
    """Lowest layers, embeddings with them, that stay as the backbone has them. 0: all is trained. -1: as the objective
    has it, half of them with `concepts`, else none. Of six layers half was far too many (docs/results). Source: NuNER
    freezes 6 of 12; NER-BERT none."""
    architecture: Architecture | Literal[""] = ""
    """With `zero_shot`: `zero` reads types before the text and finds single words, joined where they touch; `zero_span`
    the same with spans; a `bi_encoder` reads types by an encoder of their own, so thousands cost little. Empty: that of
    the GLiNER folder, else `zero_span`. Source: NuNER Zero (Bogdanov et al. 2024); GLiNER (Zaratiana et al. 2024)."""
    max_width: Annotated[int, Bounds(at_least=0, at_most=64)] = 0
    """With `zero_shot`: longest entity of a new `zero_span` or `bi_encoder`; longer ones are never found, and counted.
    0: that of the GLiNER folder, else 12. Unit: words. Source: GLiNER's public code."""
    negative_ratio: Annotated[float, Bounds(at_least=0, below=1e6)] = 1.0
    """With `zero_shot`: how many types that are not there a text is asked for, for each of its entities, at most: a
    number is drawn between 0 and this. Source: GLiNER's public code."""
    concept_backbone: str = ""
    """With `concepts`, or a `bi_encoder`: what the encoder of names starts from, a folder, a name on the hub or
    `embedded`; empty: the backbone. Source: ours; NuNER takes RoBERTa-base for both."""
    concept_pooling: Literal["mean", "first"] = "mean"
    """With `concepts`: what of a name's last states is its vector, their `mean` or that of the `first` subword. Source:
    ours; NuNER doesn't say."""
    concept_descriptions: bool = False
    """With `concepts` or `zero_shot`: whether a type's description is read after its name, where there is one. Source:
    LitSet (Golde et al. 2024)."""
    temperature: Annotated[float, Bounds(above=0, below=1e6)] = 4.0
    """With `concepts`: what the product of a word's and a concept's vector is divided by. Source: ours, on dev with
    all-MiniLM-L6-v2; NuNER doesn't say."""
    max_concepts: Annotated[int, Bounds(at_least=1, below=1e6)] = 2048
    """With `concepts`: most concepts of a step; of more a random part is taken, and each step's log counts those that
    were left out. Source: ours."""
    num_clusters: Annotated[int, Bounds(at_least=2, at_most=100_000)] = 23
    """With `typing`: clusters of entities, made anew at each epoch's start. Source: CoFEE's public code."""
    cluster_weight: Annotated[float, Bounds(at_least=0, below=1e6)] = 0.001
    """With `typing`: γ, the weight of the clusters' loss beside the tags'. Source: CoFEE's public code."""
    cluster_by_type: bool = False
    """With `typing`: whether each type has `num_clusters` clusters of its own, or as many as it has entities; else they
    are of all types together. It costs a pass over a type's sentences for each type. Source: ours; CoFEE's public code
    clusters all together."""
    cluster_dimensions: Annotated[int, Bounds(at_least=1, below=1e6)] = 128
    """With `typing`: most dimensions of an entity's vector after whitening. Source: CoFEE's public code."""
    cluster_iterations: Annotated[int, Bounds(at_least=1, below=1e6)] = 60
    """With `typing`: most iterations of k-means. Source: CoFEE's public code."""
    cluster_sample: Annotated[int, Bounds(at_least=100, below=1e9)] = 200_000
    """With `typing`: most entities that whitening and k-means are fitted on, drawn by seed, and whose vectors are held
    at once; others are assigned to the nearest cluster. Source: ours."""
    cache: str = ""
    """Folder for the corpus's subwords, made once for each corpus, label set and tokenizer, and mapped from then on.
    May be deleted at any time. Empty: `nerbert` in the user's cache folder. Source: ours."""
    save_minutes: Annotated[float, Bounds(at_least=0, below=1e6)] = 10.0
    """Time between checkpoints: how much of a killed run is lost at most. The same command goes on from its last
    checkpoint, as if it had never stopped. SIGTERM makes one too. 0: only by steps. Unit: minutes. Source: ours."""
    save_steps: Annotated[int, Bounds(at_least=0)] = 0
    """Steps between checkpoints; 0: only by time. Source: ours."""
    save_total_limit: Annotated[int, Bounds(at_least=1)] = 2
    """How many checkpoints are kept until the end, the newest ones. Source: ours."""
    tensorboard: str = ""
    """Folder for TensorBoard's event files, written while it trains (`nerbert[tensorboard]`). Empty: none; the figures
    of each step are in the encoder's log.jsonl in any case. Source: ours."""
    resample_each_epoch: bool = False
    """Draw each sentence's copies anew in each epoch, from the corpus's `expected_copies`. Epochs then differ in size
    by about a percent; steps are counted, and scores taken, by the first one's. Source: ours."""
    max_eval_samples: Annotated[int, Bounds(at_least=0)] = 5000
    """Validation sentences scored after each epoch, drawn by seed; 0 takes all. Source: ours."""
    select: Literal["last", "dev"] = "dev"
    """Which model is kept: for `dev` that of the best score on validation sentences, or the `last`, say with
    `self_training`: what it finds beyond the labels counts as wrong there. Source: ours; CoFEE's public code has
    `dev`."""
    fresh_num_layers: Annotated[int, Bounds(at_least=1, at_most=1000)] = 4
    """Layers of a fresh encoder. Source: ours."""
    fresh_hidden_size: Annotated[int, Bounds(at_least=64, at_most=16384, multiple_of=64)] = 256
    """Width of a fresh encoder; its heads are 64 wide. Unit: dimensions. Source: ours."""
    fresh_vocab_size: Annotated[int, Bounds(at_least=100, at_most=1_000_000)] = 8000
    """Largest vocabulary of a fresh cased WordPiece tokenizer. Unit: subwords. Source: ours."""

    @property
    def corpus_folder(self) -> Path:
        """Return the corpus where there must be one."""
        if self.corpus is None:
            raise SettingsError("setting corpus is missing: it has no default", setting="corpus")
        return self.corpus

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        refuse(not self.backbone, "backbone", self.backbone, "a folder, a name on the hub, 'embedded' or 'fresh'")
        if not self.open_types:
            _ = self.corpus_folder
            refuse(bool(self.open_types_dev), "open_types_dev", [path.name for path in self.open_types_dev],
                   "left out without open_types, which they are held out for")  # fmt: skip
        both = bool(self.gazetteers and self.label_set)
        refuse(both, "label_set", self.label_set, "empty with gazetteers, whose types are the categories")
        cut = self.num_layers != 0 and self.backbone == "fresh"
        refuse(cut, "num_layers", self.num_layers, "0 with backbone = 'fresh', which has fresh_num_layers")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings(TrainSettings):
    """How an encoder becomes a tagger on annotated sentences (NER-BERT §4.4)."""

    epochs: Annotated[float, Bounds(above=0, below=1e6)] = 20.0
    """Passes over the training sentences. Source: ours, by a pilot; the paper doesn't say."""
    batch_size: Annotated[int, Bounds(at_least=1)] = 16
    """Sentences per step. Unit: windows. Source: NER-BERT §4.4 (16 or 32)."""
    min_steps: Annotated[int, Bounds(at_least=0)] = 250
    """Fewest updates: a training set too small for that many in `epochs` is gone through more often. `max_steps`
    wins over it. 0: no bound. Source: ours, by measurement at 10–200 sentences."""
    learning_rate: Annotated[float, Bounds(at_least=0, below=1e6)] = 0.0
    """Highest learning rate of AdamW. 0 chooses by the encoder's width: 5e-5 from 768 on (NER-BERT §4.4, for
    BERT-base), 2e-4 below (ours, measured on all-MiniLM-L6-v2). Source: NER-BERT §4.4 and ours."""
    source_epochs: Annotated[float, Bounds(above=0, below=1e6)] = 3.0
    """Passes over the source data before the target's (source & target); bounds on steps are the target's alone.
    Source: ours; the paper doesn't say; CrossNER's code has 2."""
    source_head: Literal["new", "shared"] = "new"
    """The head that follows a tagger, such as the source's: `new` draws all its weights; `shared` keeps O and the types
    that both have, by names without case, where PER is person (so for ORG, LOC, MISC). Other starts have a new head in
    any case. Source: ours (`new`); `shared` follows CrossNER's code, which trains the target's whole head on the source
    and keeps the optimiser's state: here types of the target alone begin fresh, and so does the optimiser."""
    head: Literal["new", "names"] = "new"
    """How a fresh head starts: all weights drawn (`new`), or each type's from the vector of its name (`names`), by the
    encoder's concept encoder if its folder has one, else by the encoder's own states. What `source_head` keeps stays.
    Source: ours."""
    joined_layer: Annotated[int, Bounds(at_least=-1, below=1e6)] = 0
    """A layer, counted from 1, whose states the head reads joined with those of the last one: twice as wide, and only
    nerbert loads such a tagger. -1: the highest one that was frozen in pre-training, by the encoder's nerbert.json. 0:
    the last layer alone. Source: ours (0); NuNER's authors join layer 6 with layer 12, 6 being the highest frozen."""
    on_too_long: OnTooLong = "window"
    """What becomes of sentences longer than `max_length`: `window` cuts them into overlapping windows, and every word
    is tagged; `truncate` drops the rest, as many papers do: entities there count as missed, and the tagger goes on so;
    `error` refuses them. Source: ours; the paper doesn't say."""
    select: Literal["last", "dev"] = "last"
    """Which model is kept: the `last`, or for `dev` that of the best F1 on the dev split, scored `epochs` times (a
    hidden budget of labels when few train). Source: ours; CrossNER's code has `dev`."""
    patience: Annotated[int, Bounds(at_least=0)] = 0
    """With `select = "dev"`: stop after so many evaluations in a row without a better F1, also before `min_steps`. 0:
    never. Unit: evaluations, one an epoch where `min_steps` is 0. Source: ours; the paper doesn't say; CrossNER's code
    has 8."""

    replay: tuple[Path, ...] = ()
    """With `zero_shot`: files of open types. How much a model forgets of types that the data lacks is measured on a
    tenth of their texts, and the rest may be mixed in (`replay_share`). Source: ours."""
    replay_share: Annotated[float, Bounds(at_least=0, below=1)] = 0.0
    """With `zero_shot`: share of the sentences trained on that are texts of `replay`, beside the data's own; each epoch
    has others. Source: ours."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        refuse(self.replay_share > 0 and not self.replay, "replay_share", self.replay_share, "0 without replay files")
        unscored = self.patience != 0 and self.select == "last"
        refuse(
            unscored, "patience", self.patience, "0 with select = 'last', which scores no dev split; or select 'dev'"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilSettings(FinetuneSettings):
    """How a teacher's tags of texts, and labelled sentences beside them, become a tagger."""

    objective: Annotated[str, OBJECTIVES] = "distillation"
    """What is learnt: `distillation`, an entity as surely as the teacher found it; `tagging`, each entity as if it were
    sure; or your own as `module:Class`. Source: Hinton et al. 2015."""
    source_epochs: Annotated[float, Bounds(above=0, below=1e6)] = 3.0
    """Passes over the silver sentences. `epochs` and `min_steps` are for the labelled ones, which come after them.
    Source: ours."""
    source_head: Literal["new", "shared"] = "shared"
    """The head that learns from labelled sentences: `shared` keeps what it learnt from the silver ones, `new` draws all
    its weights. Source: ours."""
    max_sentences: Annotated[int, Bounds(at_least=1, below=1e9)] = 20_000
    """Most silver sentences; of more so many are drawn, by hash. They are held in memory. Unit: sentences. Source:
    ours."""
    empty_share: Annotated[float, Bounds(at_least=0, below=1)] = 0.5
    """Largest share of silver sentences without an entity, from which the student learns what is none; if there are
    more, some are drawn, by hash. Source: ours."""
