"""Corpus → encoder: pre-training as a tagger over the corpus's categories (NER-BERT §3).

The language-model head gives way to a linear one over BIO tags of all categories, each word is predicted from its first
piece, and the checkpoint with the best validation F1 on typed entities is kept. ENTITY is an ordinary class in
training; it is left out of the score that chooses, since most links are untyped and it would drown the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from nerbert.corpus.shards import read_manifest
from nerbert.encoder.folder import check_model_folder, load_tagging_model, load_tokenizer, save_model, write_card
from nerbert.encoder.fresh import fresh_model, train_tokenizer
from nerbert.encoder.heads import renew_head, tagging_loss
from nerbert.encoder.keeper import Keeper
from nerbert.encoder.pieces import Pieces
from nerbert.encoder.settings import PretrainSettings
from nerbert.encoder.silver import copies_of, read_silver
from nerbert.files import check_free, publish_folder, sha256_of
from nerbert.labels import WordSpan, example_tags, sentence_example, tag_names
from nerbert.metrics import collapse_types, score_spans
from nerbert.records import ENTITY, Sentence
from nerbert.show import progress
from nerbert.training.batches import Window
from nerbert.training.loop import TrainLog, best_precision, total_steps, train

FRESH = "fresh"


def pretrain(settings: PretrainSettings, output: Path, *, overwrite: bool = False) -> TrainLog:
    """Pre-train an encoder and write it to `output` as a Hugging Face token-classification folder; the log."""
    check_free(output, overwrite=overwrite)
    manifest = read_manifest(settings.corpus)
    if settings.backbone != FRESH:
        check_model_folder(settings.backbone)
    silver = read_silver(manifest, settings)
    tags = tag_names(silver.categories)
    model, tokenizer = _backbone(settings, silver.training, tags)
    pieces = Pieces(tokenizer, model.config, settings.max_length)
    windows_of = _training_windows(pieces, silver.training, tags, settings)
    held_out = [sentence_example(each) for each in silver.validation]
    with publish_folder(output, overwrite=overwrite) as folder:
        keeper = Keeper(
            folder, pieces, held_out, tags, settings, _span_figures if silver.categories == (ENTITY,) else _figures
        )
        with progress("pre-training", total_steps(len(windows_of(0)), settings)) as bar:
            log = train(model, windows_of, tagging_loss, settings, pieces.pad_id, bar, keeper)
        facts = {
            "word_splitter": manifest["word_splitter"], "language": manifest["language"],
            "label_set": silver.label_set,
            "corpus": {"wiki": manifest["wiki"], "manifest_sha256": sha256_of(settings.corpus / "manifest.json")},
            "settings": _plain(settings), "precision": _precision(settings), "log": log.entries,
            "best_step": keeper.best_step, "validation": keeper.best,
        }  # fmt: skip
        write_card(folder, "encoder", **facts)
    return log


def _backbone(settings: PretrainSettings, sentences: Sequence[Sentence], tags: list[str]) -> tuple[Any, Any]:
    if settings.backbone == FRESH:
        return _fresh(settings, sentences, tags)
    tokenizer = load_tokenizer(settings.backbone)
    model = load_tagging_model(settings.backbone, tags)
    renew_head(model, settings.seed)
    return model, tokenizer


def _fresh(settings: PretrainSettings, sentences: Sequence[Sentence], tags: list[str]) -> tuple[Any, Any]:
    tokenizer = train_tokenizer((each.text for each in sentences), settings.fresh_vocabulary)
    return fresh_model(len(tokenizer), settings.fresh_layers, settings.fresh_width, tags, settings.seed), tokenizer


def write_fresh(settings: PretrainSettings, output: Path, *, overwrite: bool = False) -> None:
    """Write the fresh encoder that `pretrain` would start from, untrained: the other side of a comparison."""
    manifest = read_manifest(settings.corpus)
    silver = read_silver(manifest, settings)
    with publish_folder(output, overwrite=overwrite) as folder:
        save_model(folder, *_fresh(settings, silver.training, tag_names(silver.categories)))
        write_card(folder, "untrained", word_splitter=manifest["word_splitter"], language=manifest["language"])


def _training_windows(
    pieces: Pieces, sentences: Sequence[Sentence], tags: list[str], settings: PretrainSettings
) -> Callable[[int], list[Window]]:
    """Epoch → all windows of the training sentences, each as often as its sentence has copies then."""
    examples = [sentence_example(each) for each in sentences]
    windows = list(pieces.windows(examples, [example_tags(each) for each in examples], tags))

    @lru_cache(maxsize=1)
    def of_epoch(epoch: int) -> list[Window]:
        copies = [copies_of(each, settings, epoch) for each in sentences]
        return [window for window in windows for _ in range(copies[window.sentence])]

    return of_epoch


def _figures(gold: Sequence[Sequence[WordSpan]], found: Sequence[Sequence[WordSpan]]) -> dict[str, float]:
    """`typed_f1` chooses the checkpoint, `span_f1` has all types collapsed."""
    return {
        "typed_f1": score_spans(map(_typed, gold), map(_typed, found)).f1,
        "span_f1": score_spans(map(collapse_types, gold), map(collapse_types, found)).f1,
    }


def _span_figures(gold: Sequence[Sequence[WordSpan]], found: Sequence[Sequence[WordSpan]]) -> dict[str, float]:
    """The figures where ENTITY is the only category: spans alone choose."""
    return dict(reversed(_figures(gold, found).items()))


def _typed(spans: Sequence[WordSpan]) -> list[WordSpan]:
    return [span for span in spans if span[2] != ENTITY]


def _plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON; of paths only the last part, so that no folder of this machine is told."""
    plain = {name: value.name if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    backbone = Path(settings.backbone).name if Path(settings.backbone).is_dir() else settings.backbone
    return plain | {"backbone": backbone, "label_set": Path(settings.label_set).name}


def _precision(settings: PretrainSettings) -> str:
    return settings.precision if settings.precision != "auto" else best_precision()
