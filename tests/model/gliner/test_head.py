"""Texts and labels through small models: windows, decoding by all kinds of layers, labels that don't fit."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import InputError
from nerbert.metrics.calibration import UNSCALED, Scaling
from nerbert.model.folder import read_card
from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner.head import GlinerHead
from nerbert.model.gliner.layers import TorchGliner
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.calibrate import calibrate
from nerbert.tagger.tagger import Tagger
from tests.calls import noted
from tests.raised import raises
from tests.tagger.batches import TEXTS, Load, check_batch, check_cost, check_threads

from .conftest import Make, words_of

TEXT = "The ship left the port of Stockholm. It sank in the harbour, says the mayor of the city."
LABELS = ("ship", "port: where ships call", "city")
KINDS: dict[str, dict[str, Any]] = {
    "span": {},
    "marker": {"span_mode": "marker"},
    "token": {"span_mode": "token_level"},
    "bi": {"labels_encoder": "x/y"},
    "mean": {"subtoken_pooling": "mean", "num_rnn_layers": 0},
}


def asked(make: Make, labels: Any = LABELS, threshold: float = 0.5, **settings: Any) -> GlinerHead:
    head = Tagger.load(make(**settings), device="cpu", thresholds=threshold).with_labels(labels).head
    assert isinstance(head, GlinerHead)
    return head


def all_scores(head: GlinerHead, examples: list[Example]) -> list[torch.Tensor]:
    assert head._asked is not None
    windows = head.pieces.windows(examples, head._asked.prompt)
    return [torch.from_numpy(scores) for _, scores in sorted(head.scores(windows), key=lambda each: each[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_depend_on_a_text_alone_and_are_those_of_plain_layers(make: Make, kind: str) -> None:
    head = asked(make, **KINDS[kind])
    texts = [words_of(each) for each in (TEXT, "Paris", "The mayor of the port left.")]
    together = all_scores(head, texts)
    for text, scores in zip(texts, together, strict=True):
        (alone,) = all_scores(head, [text])
        assert torch.allclose(alone, scores, atol=1e-5)
    assert torch.allclose(together[0], _plain(head, texts[0]), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_near(make: Make, kind: str) -> None:
    folder, scores = make(**KINDS[kind]), []
    for precision in ("fp32", "bf16"):
        head = Tagger.load(folder, device="cpu", precision=precision).with_labels(LABELS).head
        assert isinstance(head, GlinerHead)
        assert head.name == f"torch {precision} cpu"
        scores.append(all_scores(head, [words_of(TEXT)])[0])
    inside = torch.isfinite(scores[0])
    assert 0 < (scores[0] - scores[1])[inside].abs().mean() < 0.1 * scores[0][inside].std()


def _plain(head: GlinerHead, text: Example) -> torch.Tensor:
    """Compute the scores as the papers say: a vector for each span, or for each pair of a word and a label."""
    model: Any = head.scorer.model  # type: ignore[attr-defined]
    asked = head._asked
    assert asked is not None
    (window,) = head.pieces.windows([text], asked.prompt)
    states = model.project(model.body(input_ids=torch.tensor([window.ids]))[0])[0]
    ends = np.append(window.places[np.cumsum(window.counts)[:-1]], len(window.ids) - 1)
    starts = window.places[np.cumsum(window.counts) - window.counts]
    words = states[starts]
    if model.config.subtoken_pooling == "mean":
        words = torch.stack([states[a:b].mean(0) for a, b in zip(starts, ends, strict=True)])
    if hasattr(model, "rnn"):
        words = model.rnn["lstm"](words[None])[0][0]
    if labels_pieces := getattr(head.scorer, "_labels", None):
        labels = torch.stack(
            [
                model.label_vectors(*(torch.tensor([each]), torch.ones(1, len(each))))[0]
                for each in labels_pieces.alone([each.text for each in asked.labels])
            ]
        )
    else:
        labels = states[list(asked.prompt.places)]
    if model.config.token_level:
        one, two = model.scorer.proj_token(words).chunk(2, 1)
        its, others = model.scorer.proj_label(labels).chunk(2, 1)
        rows = [
            torch.stack([torch.cat([one[w], its[c], two[w] * others[c]]) for c in range(len(labels))])
            for w in range(len(words))
        ]
        scores: torch.Tensor = model.scorer.out_mlp(torch.stack(rows))
        return scores
    layers, labels = model._spans, model.prompt_rep_layer(labels)
    first, last = layers.project_start(words), layers.project_end(words)
    found = torch.full((len(words), model.config.max_width, len(labels)), -torch.inf)
    for start in range(len(words)):
        for width in range(min(model.config.max_width, len(words) - start)):
            found[start, width] = labels @ layers.out_project(torch.cat([first[start], last[start + width]]).relu())
    return found


@pytest.mark.parametrize("kind", ["span", "token", "bi"])
def test_a_long_sentence_goes_through_windows_and_nothing_is_cut(make: Make, kind: str) -> None:
    head = asked(make, threshold=0.0, **KINDS[kind])
    assert head._asked is not None
    long = words_of(" ".join(["ship", "port", "Stockholm"] * 40))
    windows = head.pieces.windows([long], head._asked.prompt)
    assert len(windows) > 3
    assert all(len(each.ids) <= head.pieces.room and len(each.read) <= 30 for each in windows)
    assert {word for each in windows for word in each.read.tolist()} == set(range(120))
    for one, other in pairwise(windows):
        assert one.before + len(one.read) - other.before >= 3
    if kind == "token":
        return
    covered = np.zeros(120, bool)
    for _, first, last, _, _ in head.predict([long]).spans():
        covered[first:last] = True
    assert covered.all()


def test_neighbouring_sentences_are_read_together_up_to_the_models_length(make: Make) -> None:
    tagger = Tagger.load(make(), device="cpu", thresholds=0.0)
    with pytest.MonkeyPatch.context() as patch:
        seen = noted(
            patch,
            GlinerHead,
            "predict_each",
            lambda _, groups: [len(each.words) for _, examples in groups for each in examples],
        )
        spans = tagger.tag(f"{TEXT} {TEXT}", labels=LABELS)
    assert seen == [[29, 13]]  # three sentences, then one: with it there would be 42 words, more than 30
    assert spans
    assert all(each.text == spans.text[each.start : each.end] for each in spans)


@pytest.mark.parametrize("decoding", ["flat", "nested"])
@pytest.mark.parametrize("kind", ["span", "token"])
def test_entities_overlap_only_where_that_was_asked_for(make: Make, kind: str, decoding: str) -> None:
    tagger = Tagger.load(make(**KINDS[kind]), device="cpu", decoding=decoding, thresholds=0.01)
    spans = [(each.start, each.end) for each in tagger.tag(TEXT, labels=LABELS)]
    pairs = [(a, b) for n, a in enumerate(spans) for b in spans[n + 1 :] if a[0] < b[1] and b[0] < a[1]]
    assert spans
    assert bool(pairs) == (decoding == "nested")
    assert all(a[0] <= b[0] and b[1] <= a[1] for a, b in pairs)
    words = tagger.with_labels(LABELS).tag_examples([words_of(TEXT)])
    assert len(words[0].tags) == len(words_of(TEXT).words)


def test_labels_are_asked_for_each_time_and_thresholds_are_theirs(make: Make) -> None:
    tagger = Tagger.load(make(), device="cpu", thresholds={"ship": 0.0, "city": 1.0})
    assert tagger.types == []
    for act in (lambda: tagger.tag(TEXT), lambda: tagger.head.predict([words_of(TEXT)])):
        with raises(InputError, "give labels"):
            act()
    assert {each.type for each in tagger.tag(TEXT, labels=["ship", "city"])} == {"ship"}
    assert tagger.with_labels(["port"]).thresholds == {"port": 0.5}


@pytest.mark.parametrize("kind", ["span", "bi"])
def test_marks_in_texts_and_labels_are_plain_text(make: Make, kind: str) -> None:
    head = asked(make, ("a <<SEP>> b", "<<ENT>>", "城市"), 0.0, **KINDS[kind])
    words = ("The", "<<SEP>>", "ship", "<<ENT>>", "\x01", "left")
    ends = np.cumsum([len(each) + 1 for each in words]).tolist()
    spans = tuple((end - 1 - len(word), end - 1) for end, word in zip(ends, words, strict=True))
    (scores,) = all_scores(head, [Example(" ".join(words), spans)])
    assert scores.shape == (5, 3, 3)  # the control character has no piece
    assert max(last for _, _, last, _, _ in head.predict([Example(" ".join(words), spans)]).spans()) == 6


@pytest.mark.parametrize(
    ("settings", "sizes"), [({}, [3]), ({"max_types": 2}, [2, 1]), ({"max_prompt_len": 2}, [1] * 3)]
)
def test_labels_are_asked_for_in_groups_within_what_training_had(
    make: Make, settings: dict[str, int], sizes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    text = words_of(TEXT)
    head = asked(make, threshold=0.0, **settings)
    assert [len(each.types) for each in head._groups or [head]] == sizes
    parts, start = list[Any](), 0
    for size in sizes:
        parts.append(head.for_labels(list(map(EntityLabel, LABELS))[start : start + size], [0.0] * size))
        start += size
    scores = torch.cat([all_scores(each, [text])[0] for each in parts], -1).sigmoid()
    found = list(head.predict([text]).spans())
    assert len(found) > 3
    assert max(each[-1] for each in found) == pytest.approx(float(scores[torch.isfinite(scores)].max()), abs=1e-6)
    for _, first, last, type_, sure in found:
        best = scores[first, last - first - 1]
        assert sure == pytest.approx(float(best.max()), abs=1e-6)
        assert type_ == LABELS[int(best.argmax())].split(":")[0]
    told = capsys.readouterr().err
    assert told.partition(",")[0] == (f"3 labels need {len(sizes)} prompts" if len(sizes) > 1 else "")
    assert told.count("\n") == (len(sizes) > 1)
    assert head.for_labels([EntityLabel("ship")], [0.5])._groups == ()


def test_a_model_that_does_not_say_so_had_prompts_of_25_labels_and_half_of_its_room(make: Make) -> None:
    pieces = load_gliner(make(body={"max_position_embeddings": 512})).pieces
    short, long = EntityLabel("s"), EntityLabel("a s d f g " * 10)
    assert pieces.groups([short] * 25) == [slice(0, 25)]
    assert pieces.groups([short] * 51) == [slice(0, 25), slice(25, 50), slice(50, 51)]
    (size,) = pieces.sizes([long.text])
    assert pieces.groups([long] * 25)[0] == slice(0, 256 // size)
    assert pieces.groups([long, EntityLabel("s d " * 200), long]) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_a_label_that_leaves_no_room_is_told(make: Make) -> None:
    labels = [f"label number {number}" for number in range(300)]
    one, two = (Tagger.load(each, device="cpu") for each in (make(), make("two", labels_encoder="x/y")))
    for tagger, asked, words in (
        (one, labels, " pieces of the 96 that the model has room for: 0 are"),
        (two, [], " pieces of the 96"),
    ):
        assert len(tagger.with_labels(labels).types) == 300
        with raises(InputError, words):
            tagger.tag(TEXT, labels=[*asked, "城 " * 99])


def test_an_own_encoder_of_labels_knows_no_order(make: Make) -> None:
    folder = make(labels_encoder="x/y")
    one, other = (all_scores(asked(lambda **_: folder, some), [words_of(TEXT)])[0] for some in (LABELS, LABELS[::-1]))
    assert torch.allclose(one, other.flip(-1), atol=1e-5)


def test_a_calibrated_folder_keeps_its_head_and_takes_its_thresholds(make: Make) -> None:
    folder = make(**KINDS["mean"])
    found = asked(make, name="other", **KINDS["mean"]).predict([words_of(TEXT)])
    words = words_of(TEXT).words
    spans = [Span(words[first][0], words[last - 1][1], type_) for _, first, last, type_, _ in found.spans()]
    gold = replace(words_of(TEXT), spans=tuple(spans[::2]))
    (done,) = calibrate(folder, [gold], precision=0.9)
    again = Tagger.load(folder, device="cpu")
    assert isinstance(again.head, GlinerHead)
    assert again.scaling == Scaling.read(done.calibration) != UNSCALED
    told = again.with_labels(sorted({span.type for span in gold.spans})).thresholds
    card = read_card(str(folder))
    assert told == dict.fromkeys(told, card["threshold"]) | card["thresholds"]
    with raises(InputError, "holds no entity, so there is no type to ask"):
        calibrate(folder, [words_of("Nothing.")])


@pytest.mark.parametrize("settings", [KINDS["bi"], {"max_types": 2}])
def test_other_thresholds_need_no_labels_again(
    make: Make, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, labels = asked(make, **settings), list(map(EntityLabel, ("port", "ship", "city")))
    bounds = [0.0, 0.4, 1.0]
    wanted, one = head.for_labels(labels, bounds).predict([words_of(TEXT)]), head.for_labels(labels, [0.5] * 3)
    monkeypatch.setattr(one.pieces, "prompt", None)
    monkeypatch.setattr(TorchGliner, "label_vectors", None)
    found = one.for_labels(labels, bounds).predict([words_of(TEXT)])
    assert list(found.spans()) == list(wanted.spans())
    assert {each for _, _, _, each, _ in found.spans()} == set(wanted.types)
    assert wanted.types


ASKED: Sequence[Sequence[str]] = (["ship", "city"], ["port: where ships call", "person", "ship"], ["state"])
MANY = [f"label {number}" for number in range(7)]
BATCHED: dict[str, dict[str, Any]] = {
    "spans": {},
    "words": {"span_mode": "token_level"},
    "two encoders": {"labels_encoder": "x"},
    "groups": {"max_types": 3},
}


@pytest.fixture(params=BATCHED)
def load(request: pytest.FixtureRequest, make: Make) -> Load:
    """What loads a tagger that finds something in half of all places."""
    return partial(Tagger.load, make(**BATCHED[request.param]), device="cpu", precision="fp32", threads=1)


def test_each_answer_is_that_of_the_text_alone(load: Load) -> None:
    check_batch(load, [*ASKED, MANY], ["", "nested"])


def test_eight_threads_get_the_answers_of_one(load: Load) -> None:
    check_threads(load, [*ASKED, MANY])


def test_cost_is_what_the_model_reads(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = load()
    read = noted(
        monkeypatch,
        TorchGliner,
        "_score_windows",
        lambda _, windows, *others: sum(len(window.ids) for window in windows),
    )
    encoded = noted(monkeypatch, TorchGliner, "label_vectors", lambda *_: 1)
    check_cost(tagger, [*ASKED, MANY], read, lambda: len(read) + len(encoded))
    assert tagger.with_labels(ASKED[0]).cost(TEXTS[0]) == tagger.cost(TEXTS[0], ASKED[0])
    with raises(InputError):
        tagger.cost(TEXTS[0])
