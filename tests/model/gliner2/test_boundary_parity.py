"""GLiNER 2.5's folders ("boundary") against the package `gliner2`: which spans are scored, log-odds and entities."""

from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.records import EntityLabel
from nerbert.tagger.tagger import Tagger
from tests.model.gliner.conftest import BODIES

from .test_parity import DESCRIBED, LABELS, TEXTS, TOKENIZERS, chosen, ours, same, scores_of, theirs, words_of

gliner2 = pytest.importorskip("gliner2", reason="the package gliner2 is not installed")
pytestmark = pytest.mark.extras
ROOM = {"max_position_embeddings": 512}
MANY = tuple(EntityLabel(f"kind {number}") for number in range(24))
LONG = " ".join(f"Word{number} of the {number % 7}th thing, {'abcdef'[number % 5 :]}" for number in range(16)) + "."
PUBLISHED = {
    "candidate_pool": "shared",
    "pool_boundary_top_k": 32,
    "pool_size": 192,
    "min_pool_per_query": 8,
    "candidate_attention_layers": 0,
    "query_attention_layers": 0,
    "boundary_attention_layers": 2,
    "boundary_attention_heads": 4,
    "boundary_attention_window": 128,
    "enable_span_content": True,
    "content_dim": 8,
    "boundary_dim": 16,
    "pair_dim": 16,
    "enable_rotary_endpoints": True,
    "query_conditioned_inside_weight": True,
    "endpoint_difference_features": True,
    "boundary_top_k_alpha": 0.08,
}
"""`boundary_head` of published folders, at smaller sizes."""
SMALL = {"boundary_attention_window": 3, "pool_boundary_top_k": 9, "pool_size": 20, "min_pool_per_query": 2}
CASES: dict[str, dict[str, Any]] = {
    "published": {},
    "small pool": SMALL,
    "plain": {**SMALL, "boundary_attention_layers": 0, "boundary_refinement_layers": 0, "abstention_threshold": 1.0},
    "other sizes": {
        **SMALL,
        "boundary_refinement_layers": 2,
        "boundary_ffn_multiplier": 1.3,
        "pair_dim": 24,
        "boundary_attention_window": 0,
        "abstention_threshold": 0.6,
        "pair_temperature": 1.7,
    },
}


@torch.no_grad()
def package_model(tokenizers: dict[str, Any], body: str, pooling: str, folder: Path, **settings: Any) -> Any:
    """Return a random model of the package, written and read by it, whose log-odds are spread."""
    from transformers import AutoConfig

    tokenizer = deepcopy(tokenizers[TOKENIZERS[body]])
    encoder = AutoConfig.for_model(body, **{**BODIES[body], **ROOM, "vocab_size": len(tokenizer)})
    config = gliner2.ExtractorConfig(
        model_name="somewhere/encoder",
        architecture="boundary",
        token_pooling=pooling,
        boundary_head={**PUBLISHED, **settings},
    )
    torch.manual_seed(11)
    made = import_module("gliner2.inference.engine").BoundaryExtractor
    model = made(config, encoder_config=encoder, tokenizer=tokenizer).eval()
    for name, each in model.named_parameters():
        if each.ndim > 1:
            each.normal_(0, 1 if "embed" in name else each.shape[1] ** -0.5)
        elif name.startswith("boundary_head"):
            each.add_(0.3 * torch.randn_like(each))
    middle(model)
    model.save_pretrained(str(folder))
    return made.from_pretrained(str(folder)).eval()


def middle(model: Any) -> None:
    """Move the log-odds so that half are above 0 and few far from it, and about a third of labels is absent."""
    seen, head = [], model.boundary_head
    inner = head.forward

    def listened(*given: Any, **more: Any) -> Any:
        seen.append((given, inner(*given, **more)))
        return seen[-1][1]

    head.forward = listened
    for labels in (LABELS, MANY):
        for text in (TEXTS[0], TEXTS[2]):
            theirs(model, text, labels, 0.5)
    del head.forward
    pairs = torch.cat([out.candidates.pair_logits[out.candidates.valid_mask] for _, out in seen])
    head.shared_pool_scorer.film_output[3].bias -= pairs.median()
    model.config.boundary_head["pair_temperature"] *= float(pairs.std()) / 1.5
    head.null_projection.weight.normal_()
    states = torch.cat([given[2][0] for given, _ in seen])
    head.null_projection.bias -= head.null_projection(states).quantile(0.7)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("body", "pooling"), [("bert", "first"), ("deberta-v2", "first"), ("modernbert", "mean")])
def test_scores_and_spans_are_the_packages(
    tokenizers: dict[str, Any], body: str, pooling: str, case: str, tmp_path: Path
) -> None:
    model = package_model(tokenizers, body, pooling, tmp_path / "m", **CASES[case])
    spread, absent = list[float](), 0
    for labels in (LABELS, DESCRIBED, MANY):
        names = [each.name for each in labels]
        for text in TEXTS if labels != MANY else (TEXTS[2], LONG):
            head: Any = Tagger.load(tmp_path / "m", device="cpu").with_labels(labels).head
            scores, words = scores_of(head, text), words_of(text).words
            assert len(scores) == len(words)
            every = theirs(model, text, labels, 0.0, "allow")
            mine: dict[Any, float] = {
                (words[start][0], words[start + width][1], names[label]): scores[start, width, label]
                for start, width, label in np.argwhere(np.isfinite(scores)).tolist()
            }
            assert mine.keys() == {each[:3] for each in every}
            for *place, probability in every:
                assert 1 / (1 + np.exp(-mine[tuple(place)])) == pytest.approx(probability, abs=1e-4)
            spread += mine.values()
            absent += len(names) - len({each[2] for each in every})
            threshold = float(np.median([each[3] for each in every] or [0.5])) + 1e-5
            head = Tagger.load(tmp_path / "m", device="cpu", thresholds=threshold).with_labels(labels).head
            kept = theirs(model, text, labels, threshold, "allow")
            same(ours(head, text), chosen(kept, text), kept)
    assert 0.3 < np.std(spread) < 10  # the test can fail
    assert len(spread) > 300
    assert bool(absent) == (case != "plain")
