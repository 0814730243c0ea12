"""Any encoder that `transformers` knows: what is trained here is what its own classes and pipelines load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.model.forward import Batch, TorchScorer, logits_at
from nerbert.model.surgery import renew_head, train_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows
from nerbert.training.batches import collate
from nerbert.training.objective import Objective, StepHooks
from nerbert.training.tagging import TokenClassification
from tests.encoder.backbones import Given, load_mlm_model, load_tagging_model, mlm_of, predict, tiny_mlm, tiny_tagging
from tests.raised import raises
from tests.windows import row_of

TAGS = ["O", "B-person", "I-person", "B-ship", "I-ship"]
NAMES = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: number for number, tag in enumerate(TAGS)}}
TOKENS = "The Margarethe was built by Larsen in Tromsø .".split(" ")
TEXT = " ".join(TOKENS)
GOLD = ["O", "B-ship", "O", "O", "O", "B-person", "O", "O", "O"]
BACKBONES = {
    "bert": "wordpiece",
    "bert-uncased": "uncased",
    "roberta": "byte-level",
    "distilbert": "wordpiece",
    "electra": "uncased",
    "modernbert": "byte-level, spaces in offsets",
    "deberta-v2": "unigram",
}


@pytest.fixture(scope="module")
def cutters(tokenizers: dict[str, Any]) -> dict[str, Any]:
    """The tokenizers of several kinds, and one that lowers and strips accents as BERT-base-uncased's does."""
    uncased = train_tokenizer([TEXT.lower(), "the sea and the ships"] * 9, 300)
    uncased.backend_tokenizer.normalizer.lowercase = True
    uncased.backend_tokenizer.normalizer.strip_accents = True
    return {**tokenizers, "uncased": uncased}


def made(kind: str, tokenizer: Any, make: Callable[..., Any] = tiny_tagging) -> Any:
    names = NAMES if make is tiny_tagging else {}
    return make(kind.removesuffix("-uncased"), len(tokenizer), pad_token_id=tokenizer.pad_token_id, **names)


def windows_of(tokenizer: Any, model: Any, tags: list[str] | None = None) -> Windows:
    examples = [example_of(TOKENS, ["O"] * 9), example_of(["Paris"] * 12, ["O"] * 12)]
    labels = Given([tags, ["O"] * 12], TAGS) if tags else None
    return Windows.pack(SubwordTokenizer(tokenizer, model.config, 64).windows(examples, labels))


def train(model: Any, objective: Objective, windows: Windows, pad_id: int) -> None:
    """A few updates, so that no weight is a first one."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(1, 4):
        batch = collate(windows, np.arange(len(windows)), pad_id)
        batch = objective.prepare(batch, step) if isinstance(objective, StepHooks) else batch
        (objective.loss(model, batch)["loss"] / objective.terms(batch)["loss"]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_trained_tagger_is_what_transformers_loads(tmp_path: Path, cutters: dict[str, Any], kind: str) -> None:
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    model = made(kind, cutters[BACKBONES[kind]])
    renew_head(model, 1)
    windows = windows_of(cutters[BACKBONES[kind]], model, GOLD)
    train(model, TokenClassification(), windows, model.config.pad_token_id)
    save_model(tmp_path, model, cutters[BACKBONES[kind]])

    theirs, cutter = AutoModelForTokenClassification.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    theirs.eval()
    assert theirs.config.id2label == dict(enumerate(TAGS))
    cutter.model_input_names = ["input_ids", "attention_mask"]
    encoded = cutter(TEXT, return_tensors="pt")
    with torch.no_grad():
        wanted = theirs(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits[0]
        mine = logits_at(model, collate(windows, np.arange(2), model.config.pad_token_id))
    first = row_of(windows, 0)
    assert list(first.ids) == encoded["input_ids"][0].tolist()
    assert first.words == tuple(range(9))
    torch.testing.assert_close(mine[:9], wanted[list(first.positions)], rtol=1e-4, atol=1e-5)

    again = load_tagging_model(str(tmp_path))
    pieces = SubwordTokenizer(load_tokenizer(str(tmp_path)), again.config, 64)
    (found,) = predict(TorchScorer(again, "fp32"), pieces, [example_of(TOKENS, ["O"] * 9)], TAGS)
    rows = pipeline("token-classification", model=theirs, tokenizer=cutter, ignore_labels=[], device="cpu")(TEXT)
    labels = {row["index"]: (row["entity"], row["score"]) for row in rows}
    for tag, confidence, position in zip(found.tags, found.confidences, first.positions, strict=True):
        assert labels[position] == (tag, pytest.approx(confidence, abs=1e-4))


def body_of(model: Any) -> dict[str, torch.Tensor]:
    return dict(model.base_model.state_dict())


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_trained_language_model_is_a_backbone_and_fills_masks(
    tmp_path: Path, cutters: dict[str, Any], kind: str
) -> None:
    from transformers import pipeline

    tokenizer = cutters["wordpiece" if kind == "deberta-v2" else BACKBONES[kind]]  # the unigram one has no mask
    model = made(kind, tokenizer, tiny_mlm)
    before = {name: each.clone() for name, each in body_of(model).items()}
    train(model, mlm_of(tokenizer, model.config, 1, 0.5), windows_of(tokenizer, model), tokenizer.pad_token_id)
    save_model(tmp_path, model, tokenizer)
    tagger = body_of(load_tagging_model(str(tmp_path), TAGS))
    assert set(tagger) == set(before)
    for name, each in body_of(model).items():
        assert torch.equal(tagger[name], each), name
    assert sum(not torch.equal(each, before[name]) for name, each in tagger.items()) > len(tagger) // 2
    again = load_mlm_model(str(tmp_path), 1)
    for (name, one), (_, other) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name  # the head, too

    cutter = load_tokenizer(str(tmp_path))
    cutter.model_input_names = ["input_ids", "attention_mask"]
    filler = pipeline("fill-mask", model=str(tmp_path), tokenizer=cutter, device="cpu")
    (best, *_) = filler(f"The {cutter.mask_token} was built")
    encoded = cutter(f"The {cutter.mask_token} was built", return_tensors="pt")
    place = encoded["input_ids"][0].tolist().index(cutter.mask_token_id)
    at = torch.tensor([0]), torch.tensor([place])
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    with torch.no_grad():
        shares = logits_at(model, Batch(ids, mask, *at, torch.tensor([0]), torch.tensor([0]))).softmax(-1)[0]
    assert best["token"] == int(shares.argmax())
    assert best["score"] == pytest.approx(float(shares.max()), rel=1e-4)


@pytest.mark.parametrize("kind", BACKBONES)
def test_an_encoder_without_a_language_models_head_gets_one_by_seed(
    tmp_path: Path, cutters: dict[str, Any], kind: str
) -> None:
    """As MiniLM's folder, which holds a body alone."""
    from transformers import AutoModel

    tokenizer = cutters[BACKBONES[kind]]
    body = made(kind, tokenizer).base_model
    save_model(tmp_path, body, tokenizer)
    models = []
    for seed, state in ((1, 5), (1, 6), (2, 6)):
        torch.manual_seed(state)
        models.append(load_mlm_model(str(tmp_path), seed))
    for model in models:
        for name, each in AutoModel.from_pretrained(tmp_path).state_dict().items():
            assert "pooler" in name or torch.equal(body_of(model)[name], each), name
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    heads = [
        {name: each for name, each in model.named_parameters() if not name.startswith(model.base_model_prefix)}
        for model in models
    ]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert any(not torch.equal(heads[0][name], heads[2][name]) for name in heads[0])


def test_a_tokenizer_that_is_not_fast_is_refused(tmp_path: Path) -> None:
    from transformers import CanineConfig, CanineTokenizer

    CanineTokenizer().save_pretrained(tmp_path)
    CanineConfig().save_pretrained(tmp_path)
    with raises(InputError, "isn't a fast one"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize(("kind", "positions", "room"), [("bert", 3, 3), ("roberta", 5, 3), ("roberta", 2, 0)])
def test_too_few_positions_are_refused(cutters: dict[str, Any], kind: str, positions: int, room: int) -> None:
    tokenizer = cutters[BACKBONES[kind]]
    model = tiny_tagging(kind, len(tokenizer), max_position_embeddings=positions, pad_token_id=tokenizer.pad_token_id)
    model.config.name_or_path = "some/encoder"
    with raises(InputError, f"some/encoder: has room for {room} pieces, 2 of them special"):
        SubwordTokenizer(tokenizer, model.config, 256)
