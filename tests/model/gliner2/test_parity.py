"""Folders of the package `gliner2`, read here, against the package itself: words, scores and spans."""

from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.model.gliner.folder import GLINER2_WORDS
from nerbert.model.gliner.head import GlinerHead
from nerbert.model.heads import Candidate, chosen_candidates
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words
from tests.model.gliner.conftest import BODIES

gliner2 = pytest.importorskip("gliner2", reason="the package gliner2 is not installed")
pytestmark = pytest.mark.extras
TEXTS = (
    "The Vasa-class ship sank in the port of Stockholm, the capital of Sweden.",
    "Paris",
    "A committee in Berlin-based offices met the mayor; the mayor of ROME left, and Angela wrote 3.5 letters to NATO",
    "In 1905 the museum bought a painting by Munch!  ",
    "Write to Jo.Doe@example.org or @oslo, see https://example.org/a?b=c (or not).",
)
LABELS = tuple(map(EntityLabel, ("ship", "city", "Person of Note")))
DESCRIBED = (EntityLabel("ship"), EntityLabel("port", "where ships call"), EntityLabel("city", "A large town"))
Found = tuple[int, int, str, float]
COUNTING = {"count_lstm": "first", "count_lstm_v2": "mean", "count_lstm_moe": "max"}
TOKENIZERS = {"bert": "wordpiece", "deberta-v2": "unigram", "modernbert": "byte-level"}


def package_model(tokenizers: dict[str, Any], body: str, counting: str, pooling: str, folder: Path) -> Any:
    """Return a random model of the package, written and read by it, whose scores are spread and whose gate is open."""
    tokenizer = deepcopy(tokenizers[TOKENIZERS[body]])
    sizes = {**BODIES[body], "vocab_size": len(tokenizer)}
    from transformers import AutoConfig

    encoder = AutoConfig.for_model(body, **sizes)
    config = gliner2.ExtractorConfig(
        model_name="somewhere/encoder", counting_layer=counting, token_pooling=pooling, max_width=4
    )
    torch.manual_seed(11)
    model = gliner2.GLiNER2(config, encoder_config=encoder, tokenizer=tokenizer)
    with torch.no_grad():
        for name, each in model.named_parameters():
            each.mul_(2.5 if each.ndim > 1 else 1)
            if name.endswith(("b1", "b2")):
                each.normal_()
            if name.startswith("count_embed.projector.2"):
                each.mul_(0.1)
    gate(model, 3)
    model.save_pretrained(str(folder))
    return gliner2.GLiNER2.from_pretrained(str(folder)).eval()


def gate(model: Any, count: int) -> None:
    """Let the model expect so many instances in each text."""
    with torch.no_grad():
        model.count_pred[-1].weight.zero_()
        model.count_pred[-1].bias.zero_()
        model.count_pred[-1].bias[count] = 1.0


def theirs(model: Any, text: str, labels: Any, threshold: float, policy: str | None = None) -> list[Found]:
    """Return the package's entities, without those that hold the full stop that it adds."""
    asked = {each.name: {"description": each.description} if each.description else {} for each in labels}
    found = model.extract_entities(
        text, asked, threshold=threshold, include_confidence=True, include_spans=True, overlap_policy=policy
    )["entities"]
    rows = [(each["start"], each["end"], name, each["confidence"]) for name in found for each in found[name]]
    return [each for each in rows if each[1] <= len(text)]


def words_of(text: str) -> Example:
    return Example(text, split_words(text, GLINER2_WORDS))


def ours(head: Any, text: str) -> list[Found]:
    example_ = words_of(text)
    return [
        (example_.words[a][0], example_.words[b - 1][1], type_, p)
        for _, a, b, type_, p in head.predict([example_]).spans()
    ]


def chosen(found: list[Found], text: str) -> list[Found]:
    """Return the package's candidates without overlaps, across labels, as nerbert removes them."""
    words = words_of(text).words
    first, last = ({each[end]: number for number, each in enumerate(words)} for end in (0, 1))
    names = sorted({name for _, _, name, _ in found})
    kept = [Candidate(first[a], last[b] + 1, names.index(name), p, p) for a, b, name, p in found]
    return [
        (words[each.start][0], words[each.end - 1][1], names[each.label], each.probability)
        for each in chosen_candidates(kept, len(words), nested=False)
    ]


def scores_of(head: GlinerHead, text: str) -> np.ndarray[Any, Any]:
    assert head._asked is not None
    windows = head.pieces.windows([words_of(text)], head._asked.prompt)
    return next(scores for _, scores in head.scores(windows))


def same(mine: list[Found], other: list[Found], every: list[Found] | None = None) -> None:
    """Check that spans and confidences are equal, and types unless two of `every` have the same confidence."""
    mine, other = sorted(mine), sorted(other)
    assert [each[:2] for each in mine] == [each[:2] for each in other]
    assert [each[3] for each in mine] == pytest.approx([each[3] for each in other], abs=1e-4)
    known = {each[:3]: each[3] for each in (other if every is None else every)}
    assert [known.get(each[:3], -1) for each in mine] == pytest.approx([each[3] for each in mine], abs=1e-4)


@pytest.mark.parametrize("counting", COUNTING)
@pytest.mark.parametrize("body", TOKENIZERS)
@pytest.mark.parametrize("labels", [LABELS, DESCRIBED], ids=["names", "descriptions"])
def test_scores_and_spans_are_the_packages(
    tokenizers: dict[str, Any], body: str, counting: str, labels: tuple[EntityLabel, ...], tmp_path: Path
) -> None:
    model = package_model(tokenizers, body, counting, COUNTING[counting], tmp_path / "m")
    head: Any = Tagger.load(tmp_path / "m", device="cpu").with_labels(labels).head
    names, spread = [each.name for each in labels], list[float]()
    for text in TEXTS:
        scores = scores_of(head, text)
        inside = np.isfinite(scores)
        every = theirs(model, text, labels, 0.0, "allow")
        words = words_of(text).words
        for start, width, label in np.argwhere(inside).tolist():
            place = words[start][0], words[start + width][1], names[label]
            other = next(each[3] for each in every if each[:3] == place)
            assert 1 / (1 + np.exp(-scores[start, width, label])) == pytest.approx(other, abs=1e-4)
        assert inside.sum() == len(every)
        spread += scores[inside].tolist()
    assert 0.3 < np.std(spread) < 10  # the test can fail
    threshold = float(torch.sigmoid(torch.tensor(np.quantile(spread, 0.6))))
    tagger = Tagger.load(tmp_path / "m", device="cpu", thresholds=threshold)
    for text in TEXTS:
        every = theirs(model, text, labels, threshold, "allow")
        same(ours(tagger.with_labels(labels).head, text), chosen(every, text), every)
        for one in labels if text.endswith(".") else ():  # by itself: the package removes overlaps within a label
            same(ours(tagger.with_labels([one]).head, text), theirs(model, text, [one], threshold))


def test_without_an_instance_nothing_is_found(tokenizers: dict[str, Any], tmp_path: Path) -> None:
    model = package_model(tokenizers, "bert", "count_lstm", "first", tmp_path / "m")
    labels = [EntityLabel("ship"), EntityLabel("city")]
    assert theirs(model, TEXTS[0], labels, 0.01)
    for count in (0, 1, 19):
        gate(model, count)
        model.save_pretrained(str(tmp_path / str(count)))
        head = Tagger.load(tmp_path / str(count), device="cpu", thresholds=0.01).with_labels(labels[:1]).head
        same(ours(head, TEXTS[0]), theirs(model, TEXTS[0], labels[:1], 0.01))
        assert bool(ours(head, TEXTS[0])) == (count > 0)


@example("a.b@c.de @x see https://a.b/c. www.x.y İstanbul-ße nai\u0308ve a\u200db_c-d")
@given(st.text() | st.text("aB1._-@/: \u0301\u200d:wpst漢é", max_size=60))
def test_words_are_the_packages(text: str) -> None:
    splitter = import_module("gliner2.processing.word_splitter").WhitespaceTokenSplitter()
    assert [*split_words(text, GLINER2_WORDS)] == [(start, end) for _, start, end in splitter(text)]
