"""GLiNER2 folders, of 2.5 ("boundary") too, that are as they should be, and such as are not."""

import json
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone
from nerbert.model.folder import ModelFolder, TransformersKind, find_named
from nerbert.model.gliner.folder import Gliner2Kind, load_gliner
from nerbert.model.gliner.gliner2_layers import BoundarySpans
from nerbert.model.head_kinds import labels_at_run_time
from nerbert.records import EntityLabel
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words
from tests.model.gliner.conftest import words_of
from tests.raised import raises

from .conftest import Make

TEXT = "The ship left the port of Stockholm"
LABELS = ["ship", "port: where ships call"]
CONFIG, ENCODER, WEIGHTS = "config.json", "encoder_config/config.json", "model.safetensors"


def found(folder: Path, text: str = TEXT, threshold: float = 1e-4) -> list[Any]:
    return list(Tagger.load(folder, device="cpu", thresholds=threshold).tag(text, labels=LABELS))


def change(path: Path, **values: Any) -> None:
    kept = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in kept.items() if value is not ...}))


def test_a_folder_is_recognised_and_copied(make: Make, tmp_path: Path) -> None:
    folder = make()
    opened = ModelFolder.open(folder)
    assert opened.kind is Gliner2Kind
    assert (opened.head_name, labels_at_run_time(opened), opened.backend) == ("gliner", True, "torch")
    assert opened.card["word_splitter"] == "gliner2-words-1"
    expected = found(folder)
    assert expected
    tagger = Tagger.load(folder, device="cpu", thresholds=1e-4).with_labels(LABELS)
    tagger.save_pretrained(tmp_path / "saved")
    assert found(tmp_path / "saved") == expected == list(pickle.loads(pickle.dumps(tagger)).tag(TEXT))
    change(folder / ENCODER, layer_norm_eps=1e-3)
    assert ModelFolder.open(folder).fingerprint != ModelFolder.open(tmp_path / "saved").fingerprint


def test_without_instances_there_is_nothing(make: Make) -> None:
    assert not found(make(instances=0), threshold=0.0)


@pytest.mark.parametrize(("max_types", "count"), [(25, 18), (1, 40)])
def test_labels_are_asked_for_in_groups(make: Make, max_types: int, count: int) -> None:
    loaded = load_gliner(make())
    object.__setattr__(loaded.model.config, "max_types", max_types)
    labels = [EntityLabel(f"type {number}", "described") for number in range(40)]
    groups = loaded.pieces.groups(labels)
    assert len(groups) == count
    prompts = [loaded.pieces.prompt(labels[each]) for each in groups]
    assert all(len(each.before) <= loaded.pieces.room // 2 + 8 for each in prompts)
    with raises(InputError, " pieces of the 160 that the model has room for"):
        loaded.pieces.prompt(labels)


def test_what_looks_like_a_mark_is_plain_text(make: Make) -> None:
    pieces = load_gliner(make()).pieces
    mark = pieces.tokenizer.convert_tokens_to_ids("[E]")
    prompt = pieces.prompt([EntityLabel("a [E] b [P]", "an [E] [DESCRIPTION]"), EntityLabel("ship")])
    assert (
        [prompt.before[place] for place in prompt.places[1:]]
        == [mark, mark]
        == [each for each in prompt.before if each == mark]
    )


@pytest.mark.parametrize(
    ("text", "stop"), [("a ship", 1), ("a ship!", 0), ("a ship. ", 1), ("a ship… ", 1), ("a ship?", 0), ("Dr. No", 1)]
)
def test_a_text_gets_a_full_stop_that_is_no_word(make: Make, text: str, stop: int) -> None:
    pieces = load_gliner(make()).pieces
    prompt = pieces.prompt([EntityLabel("ship")])
    (window,) = pieces.windows([words_of(text, "gliner2-words-1")], prompt)
    size = len(window.ids) - len(prompt.before)
    assert size == sum(map(len, pieces.pieces([text[a:b].lower() for a, b in split_words(text)]))) + stop
    assert pieces.pieces(["."])[0] == prompt.after


def test_windows_of_long_texts_end_with_a_full_stop_each(make: Make) -> None:
    pieces = load_gliner(make()).pieces
    text = "A ship left. " * 60
    prompt = pieces.prompt([EntityLabel("ship")])
    windows = pieces.windows([words_of(text, "gliner2-words-1")], prompt)
    assert len(windows) > 1
    assert all(each.ids[-1:] == prompt.after and len(each.ids) <= pieces.room for each in windows)
    assert found(make("long"), text)


def test_what_a_configuration_may_leave_out(make: Make) -> None:
    folder = make(counting="count_lstm", instances=1)
    expected = found(folder)
    assert expected
    change(folder / CONFIG, architecture=..., counting_layer=..., token_pooling=..., span_head=..., max_width=3)
    change(folder / ENCODER, vocab_size=5, dtype="float16", auto_map={"AutoModel": "evil.Evil"})
    assert found(folder) == expected


def test_a_tokenizer_without_the_marks_gets_them(make: Make, tokenizers: dict[str, Any]) -> None:
    folder = make()
    expected = found(folder)
    assert expected
    tokenizers["wordpiece"].save_pretrained(folder)
    assert found(folder) == expected


def test_another_models_folder_stays_its_own(make: Make, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(find_named("embedded"), tmp_path / "plain"))
    shutil.copytree(make() / "encoder_config", plain / "encoder_config")
    assert ModelFolder(str(plain)).check().kind is TransformersKind
    named = make("named", architectures=["ExtractorForEntities"])
    assert ModelFolder(str(named)).check().kind is Gliner2Kind


def test_words_of_a_model_of_single_words_are_not_joined(make: Make) -> None:
    config = Gliner2Kind.read(make(span_head={"max_width": 1}))
    assert (config.max_width, config.joins_words) == (1, False)


def test_surplus_weights_change_nothing(make: Make) -> None:
    folder = make()
    expected, weights = found(folder), load_file(folder / WEIGHTS)
    save_file({**weights, "adapter.embeddings.word_embeddings.weight": torch.ones(3, 3)}, folder / WEIGHTS)
    change(folder / CONFIG, span_head={"max_width": 2**8})  # a width without weights of its own
    assert Tagger.load(folder, device="cpu")
    change(folder / CONFIG, span_head={"max_width": 3})
    assert found(folder) == expected


def test_no_training_starts_from_it_whatever_its_card_says(make: Make) -> None:
    folder = make()
    with raises(InputError, "a GLiNER2 model, which nerbert doesn't train: tag with it (`nerbert tag"):
        Backbone.of(str(folder), 0)
    (folder / "nerbert.json").write_text(
        json.dumps({"format": 1, "kind": "encoder", "head": "linear", "word_splitter": "gliner2-words-1"})
    )
    with raises(InputError, "a GLiNER2 model, which nerbert doesn't train"):
        ModelFolder(str(folder)).check_trainable()


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (CONFIG, {"architecture": "lattice"}, "a GLiNER2 model with architecture 'lattice', which nerbert doesn't"),
        (CONFIG, {"architecture": "nerbert.evil:Evil"}, "with architecture 'nerbert.evil:evil', which nerbert doesn't"),
        (CONFIG, {"counting_layer": "count_9"}, "with counting_layer 'count_9', which nerbert doesn't support"),
        (CONFIG, {"span_head": {"max_width": 10**9}}, "span_head.max_width = 1000000000: must be less than or equal"),
        (CONFIG, {"max_len": 0}, "max_len = 0: must be greater than or equal to 1"),
        (CONFIG, None, "config.json"),
        (ENCODER, None, "config.json"),
        (ENCODER, {}, "a GLiNER2 model without encoder_config/config.json; copy the whole folder"),
        (ENCODER, {"hidden_size": 18}, "config.json and weights don't belong together"),
        (ENCODER, {"num_hidden_layers": 2}, "weights are missing for a markerV0 span model"),
        (WEIGHTS, {}, "holds config.json, but neither model.safetensors nor pytorch_model.bin"),
        (
            WEIGHTS,
            {"count_pred.2.bias": torch.zeros(7)},
            "config.json and weights don't belong together: count_pred.2.bias is (7,)",
        ),
        (WEIGHTS, {"encoder.embeddings.word_embeddings.weight": torch.zeros(40, 16)}, ", the model knows 40"),
    ],
)
def test_messages(make: Make, name: str, values: dict[str, Any] | None, words: str) -> None:
    """Of files that are changed, cut off (None), or missing ({})."""
    folder = make()
    if values is None:
        (folder / name).write_bytes((folder / name).read_bytes()[:20])
    elif not values:
        (folder / name).unlink()
    elif name == WEIGHTS:
        save_file({**load_file(folder / name), **values}, folder / name)
    else:
        change(folder / name, **values)
    with raises(InputError, words):
        Tagger.load(folder, device="cpu")


def head(folder: Path, **settings: Any) -> None:
    kept = {**json.loads((folder / CONFIG).read_text())["boundary_head"], **settings}
    change(folder / CONFIG, boundary_head={name: value for name, value in kept.items() if value is not ...})


def scores(folder: Path, text: str, labels: list[str], **how: Any) -> np.ndarray[Any, Any]:
    asked: Any = Tagger.load(folder, device="cpu", **how).with_labels(labels).head
    windows = asked.pieces.windows([words_of(text, "gliner2-words-1")], asked._asked.prompt)
    every: list[np.ndarray[Any, Any]] = [each for _, each in sorted(asked.scores(windows), key=lambda each: each[0])]
    assert len(every) == len(windows) == 1
    return every[0]


def test_a_folder_of_boundaries_is_read(make_boundary: Make) -> None:
    folder = make_boundary()
    model = load_gliner(folder).model
    assert isinstance(model, BoundarySpans)
    assert (model.config.max_types, model.config.max_len, model.config.max_width) == (25, 384, 8)
    assert ModelFolder.open(folder).card["head"] == "gliner"
    assert found(folder)
    assert found(folder, "A ship left. " * 60)


def test_a_text_of_one_word_and_of_none(make_boundary: Make) -> None:
    folder = make_boundary(abstention_threshold=1.0)
    assert [each.text for each in found(folder, "Stockholm", 0.0)] == ["Stockholm"]
    assert found(folder, "") == found(folder, "  ") == []


def test_a_span_has_any_length_and_never_the_added_stop(make_boundary: Make) -> None:
    folder = make_boundary()
    with_stop, without = (scores(folder, text, LABELS[:1]) for text in (TEXT + ".", TEXT))
    assert len(with_stop) == len(without) + 1
    np.testing.assert_allclose(with_stop[:-1, :1], without[:, :1], atol=1e-5)
    inside = np.argwhere(np.isfinite(without))[:, :2]
    assert inside.sum(1).max() < len(without)
    assert inside[:, 1].max() >= 4


def test_labels_compete_for_the_spans_that_are_scored(make_boundary: Make) -> None:
    folder, text = make_boundary(pool_size=12), "The ship left the port of Stockholm and sank in the harbour of Oslo ."
    alone, together = (scores(folder, text, ["ship", "port", "city", "mayor"][:count])[..., 0] for count in (1, 4))
    assert np.isfinite(alone).sum() == np.isfinite(together).sum() == 12
    width = min(alone.shape[1], together.shape[1])
    assert (np.isfinite(alone[:, :width]) != np.isfinite(together[:, :width])).any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_choices_are_made_in_fp32(make_boundary: Make, precision: str) -> None:
    model = load_gliner(make_boundary()).model
    words, labels = torch.randn(20, 16, dtype=torch.bfloat16), torch.randn(3, 16, dtype=torch.bfloat16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        given = model.scores((words,), (labels,))
    with torch.inference_mode():
        exact = model.scores((words.float(),), (labels.float(),))
    assert given.dtype == torch.float32
    assert torch.equal(given, exact)


ODD = (math.nan, math.inf)
BOUNDS = {"boundary_dim": 10**9, "pool_boundary_top_k": 0, "abstention_threshold": 1.5, "boundary_attention_heads": "2"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        *[({name: value}, f"boundary_head.{name} = {value!r}: must be ") for name, value in BOUNDS.items()],
        *[({"pair_temperature": odd}, f"boundary_head.pair_temperature = {odd}: must be") for odd in ODD],
        ({"candidate_pool": ...}, "boundary_head.candidate_pool is missing; nerbert reads GLiNER 2.5's models in the"),
        ({"candidate_pool": "per_query"}, "candidate_pool = 'per_query': must be 'shared'; nerbert reads"),
        ({"query_attention_layers": 1}, "boundary_head.query_attention_layers = 1: must be 0"),
        ({"adaptive_threshold": True}, "boundary_head.adaptive_threshold = True: must be False"),
        ({"enable_abstention": False}, "boundary_head.enable_abstention = False: must be True"),
        ({"boundary_attention_heads": 3}, "boundary_dim = 16: must be a multiple of boundary_attention_heads = 3"),
        ({"boundary_attention_layers": 3}, " weights are missing for a boundary span model on 'bert'"),
        ({"pair_dim": 24}, "config.json and weights don't belong together: boundary_head.shared_pool_scorer"),
    ],
)
def test_messages_of_boundaries(make_boundary: Make, settings: dict[str, Any], words: str) -> None:
    folder = make_boundary()
    head(folder, **settings)
    with raises(InputError, words):
        Tagger.load(folder, device="cpu")


def test_what_has_no_effect_is_not_refused(make_boundary: Make, make: Make) -> None:
    folder = make_boundary()
    expected = found(folder)
    assert expected
    head(folder, rotary_base="?", start_top_k=-1)
    change(folder / CONFIG, max_width=1, span_head={"max_width": 1})
    assert found(folder) == expected
    assert found(make("span", boundary_head={"candidate_pool": "per_query"}))
