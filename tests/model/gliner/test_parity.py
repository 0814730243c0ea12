"""Folders of the package `gliner`, read here, against the package itself: scores, spans, and the way back."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner.head import GlinerHead
from nerbert.model.gliner.weights import save_gliner
from nerbert.records import EntityLabel
from nerbert.tagger.tagger import Tagger

from .conftest import BODIES, words_of

gliner = pytest.importorskip("gliner", reason="the package gliner is not installed: pip install --group gliner-test")
pytestmark = pytest.mark.extras
TEXTS = (
    "The Vasa-class ship sank in the port of Stockholm, the capital of Sweden.",
    "Paris",
    "A committee in Berlin-based offices met the mayor; the mayor of Rome left, and Angela wrote 3.5 letters to NATO.",
    "In 1905 the museum bought a painting by Munch.",
)
LABELS = ("ship", "port: where ships call", "city", "person of note")
ONE, TWO = {"labels_encoder": None}, {"labels_encoder": "somewhere/minilm"}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "span": ("deberta-v2", "unigram", {**ONE, "span_mode": "markerV0"}),
    "span, first version's layers": ("deberta-v2", "unigram", {**ONE, "span_mode": "marker", "max_width": 5}),
    "span, two LSTMs, BERT": ("bert", "wordpiece", {**ONE, "num_rnn_layers": 2, "embed_ent_token": False}),
    "span, no LSTM, ModernBERT": ("modernbert", "byte-level", {**ONE, "num_rnn_layers": 0, "hidden_size": 32}),
    "single words": ("deberta-v2", "unigram", {**ONE, "span_mode": "marker", "max_width": 1}),
    "tokens": ("deberta-v2", "unigram", {**ONE, "span_mode": "token_level"}),
    "tokens, last pieces": ("bert", "wordpiece", {**ONE, "span_mode": "token_level", "subtoken_pooling": "last"}),
    "mean of pieces": ("bert", "wordpiece", {**ONE, "subtoken_pooling": "mean", "hidden_size": 32}),
    "greatest of pieces": ("modernbert", "byte-level", {**ONE, "subtoken_pooling": "max"}),
    "two encoders": ("deberta-v2", "unigram", {**TWO, "span_mode": "markerV0", "num_rnn_layers": 0}),
    "two encoders, tokens": ("modernbert", "byte-level", {**TWO, "span_mode": "token_level", "num_rnn_layers": 1}),
}


def package_model(tokenizers: dict[str, Any], kind: str) -> Any:
    """Return a random model of the package, whose scores are spread over the range."""
    body, name, settings = KINDS[kind]
    tokenizer = deepcopy(tokenizers[name])
    tokenizer.add_tokens(["[FLERT]", "<<ENT>>", "<<SEP>>"], special_tokens=True)
    size = len(tokenizer)
    encoder = {"model_type": body, "vocab_size": size, **BODIES[body]}
    values = {
        "hidden_size": 24,
        "max_width": 4,
        "max_len": 60,
        "class_token_index": size - 2,
        "vocab_size": size,
        "encoder_config": encoder,
        "model_name": "somewhere/encoder",
        **settings,
    }
    more = {}
    if settings["labels_encoder"]:
        labels = deepcopy(tokenizers["wordpiece"])
        values["labels_encoder_config"] = {"model_type": "bert", "vocab_size": len(labels), **BODIES["bert"]}
        more["labels_tokenizer"] = labels
    torch.manual_seed(11)
    config = gliner.GLiNERConfig(**values)
    made = gliner.GLiNER._get_gliner_class(config)
    if not settings["labels_encoder"]:
        values.pop("labels_encoder")
    model = made(made.config_class(**values), tokenizer=tokenizer, **more)
    with torch.no_grad():
        for name_, each in model.model.named_parameters():
            if not name_.startswith("token_rep_layer.bert_layer"):
                each.mul_(2.5 if each.ndim > 1 else 1)
    return model.eval()


def theirs(model: Any, texts: Any, labels: Any = LABELS) -> list[np.ndarray[Any, Any]]:
    """Return the package's log-odds of each text, without padding."""
    prepared = model.prepare_batch(list(texts), list(labels))
    batch = model.collate_batch(prepared["input_x"], prepared["entity_types"])
    scores = model.run_batch(batch).logits
    return [each[: len(words)].numpy() for each, words in zip(scores, prepared["tokens"], strict=True)]


def ours(head: GlinerHead, texts: Any) -> list[np.ndarray[Any, Any]]:
    assert head._asked is not None
    windows = head.pieces.windows([words_of(each) for each in texts], head._asked.prompt)
    found = dict(head.scores(windows))
    return [found[number] for number in range(len(windows))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("safe", [True, False])
def test_scores_and_spans_are_the_packages(tokenizers: dict[str, Any], kind: str, safe: bool, tmp_path: Path) -> None:
    model = package_model(tokenizers, kind)
    model.save_pretrained(tmp_path / "model", safe_serialization=safe)
    model = gliner.GLiNER.from_pretrained(str(tmp_path / "model"))
    tagger = Tagger.load(tmp_path / "model", device="cpu").with_labels(LABELS)
    assert isinstance(tagger.head, GlinerHead)
    spread = []
    for mine, other in zip(ours(tagger.head, TEXTS), theirs(model, TEXTS), strict=True):
        assert mine.shape == other.shape
        inside = np.isfinite(mine)
        spread += other[inside].tolist()
        assert np.abs(mine - other)[inside].max() < 1e-4
    assert np.std(spread) > 0.3  # the test can fail
    threshold = float(torch.sigmoid(torch.tensor(np.quantile(spread, 0.7))))
    for nested in (False, True):
        head = Tagger.load(tmp_path / "model", device="cpu", decoding="nested" if nested else "", thresholds=threshold)
        for text in TEXTS:
            wanted = model.predict_entities(text, list(LABELS), threshold=threshold, flat_ner=not nested)
            names = {EntityLabel(*each.split(": ")).text: each.split(": ")[0] for each in LABELS}
            expected = [(each["start"], each["end"], names[each["label"]], each["score"]) for each in wanted]
            example = words_of(text)
            asked = head.with_labels(LABELS)
            spans = list(asked.head.predict([example]).spans())
            got = [(example.words[a][0], example.words[b - 1][1], type_, p) for _, a, b, type_, p in spans]
            if KINDS[kind][2].get("max_width") == 1:
                assert sum(b - a for _, a, b, _, _ in spans) == len(expected)
                continue
            assert sorted(each[:3] for each in got) == sorted(each[:3] for each in expected)
            assert sorted(each[3] for each in got) == pytest.approx(sorted(each[3] for each in expected), abs=1e-4)


@pytest.mark.parametrize("kind", ["span", "tokens", "two encoders"])
def test_the_package_reads_what_is_written_here(tokenizers: dict[str, Any], kind: str, tmp_path: Path) -> None:
    package_model(tokenizers, kind).save_pretrained(tmp_path / "theirs", safe_serialization=True)
    loaded = load_gliner(tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    save_gliner(tmp_path / "ours", loaded)
    model = gliner.GLiNER.from_pretrained(str(tmp_path / "ours"), strict=True)
    head = Tagger.load(tmp_path / "theirs", device="cpu").with_labels(LABELS).head
    assert isinstance(head, GlinerHead)
    for mine, other in zip(ours(head, TEXTS), theirs(model, TEXTS), strict=True):
        inside = np.isfinite(mine)
        assert np.abs(mine - other)[inside].max() < 1e-4
