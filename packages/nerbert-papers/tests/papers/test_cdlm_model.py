"""The network against its formulas, computed plainly."""

from dataclasses import replace
from itertools import pairwise, product
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.labels import tag_names
from nerbert.model.backbone import load_tokenizer, save_tokenizer
from nerbert.model.folder import ModelFolder
from nerbert.model.windows import Windows
from nerbert.training.batches import collate
from nerbert_papers.cdlm.cdlm_model import (
    LANGUAGE,
    SOURCE,
    TAGS,
    TARGET,
    CdlmModel,
    CdlmShape,
    Crf,
    draw_words,
    language_loss,
    log_expected,
    open_cdlm,
)
from nerbert_papers.cdlm.word_pieces import WordPieces, count_words, make_vocabulary
from tests.raised import raises

EXAMPLES = [example_of(f"Ada{'s' * n} saw boats".split(), ["B-x", "O", "O"]) for n in range(3)]
EXAMPLES.append(example_of(["Oslo"], ["B-y"]))


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    return make_vocabulary(EXAMPLES)


@pytest.fixture(scope="module")
def shape(vocabulary: Any) -> CdlmShape:
    return CdlmShape(
        words=count_words(vocabulary),
        pieces=len(vocabulary),
        tags=tag_names(["x", "y"]),
        source_tags=tag_names(["z"]),
        word_width=5,
        character_width=4,
        filters=3,
        states=6,
        task_width=2,
        domain_width=3,
        dropout=0.5,
    )


@pytest.fixture(scope="module")
def model(shape: CdlmShape) -> CdlmModel:
    torch.manual_seed(1)
    return CdlmModel(shape).eval()


@pytest.fixture(scope="module")
def batch(vocabulary: Any) -> Any:
    windows = Windows.pack(WordPieces(vocabulary, 250).windows(EXAMPLES))
    return collate(windows, np.arange(len(EXAMPLES)), 0)


def test_sizes_are_those_of_the_public_code() -> None:
    """P = 2 · (400 · 150 + 400 · 100 + 800) weights, and a tensor of 8 · 8 · P."""
    usual = CdlmShape(words=10, pieces=12, tags=["O"], source_tags=[], word_width=100)
    generator = CdlmModel(usual).generator
    assert generator is not None
    assert generator.weight.shape == (8, 8, 201_600)


def test_weights_are_the_sum_over_task_and_domain(model: CdlmModel) -> None:
    generator = model.generator
    assert generator is not None
    found = generator()
    for task, domain in product((TAGS, LANGUAGE), (SOURCE, TARGET)):
        wanted = torch.zeros(found.shape[2])
        for i, j in product(range(2), range(3)):
            wanted += generator.tasks[task, i] * generator.domains[domain, j] * generator.weight[i, j]
        assert torch.allclose(found[task, domain], wanted, atol=1e-6)


def test_states_are_those_of_an_lstm_with_these_weights(model: CdlmModel, batch: Any) -> None:
    words = model.read(batch.ids, batch.mask)
    assert words.mask.sum(1).tolist() == [3, 3, 3, 1]
    generator = model.generator
    assert generator is not None
    own = torch.nn.LSTM(8, 6, batch_first=True, bidirectional=True)
    own.load_state_dict(generator.name_weights(generator()[LANGUAGE, SOURCE]))
    found = model.states(words, LANGUAGE, SOURCE)
    for number, length in enumerate((3, 3, 3, 1)):
        inputs = torch.cat([model.words[words.ids[number, :length]], characters_of(model, words, number, length)], 1)
        assert torch.allclose(found[number, :length], own(inputs[None])[0][0], atol=1e-5)
        assert (found[number, length:] == 0).all()


def characters_of(model: CdlmModel, words: Any, number: int, length: int) -> torch.Tensor:
    """The largest outputs over each word's characters, a word at a time; no character stands beside the first one."""
    found = []
    for word in range(length):
        ids = words.characters[number, word]
        padded = torch.cat([ids[ids >= 0], torch.tensor([-1])])
        outputs = model.convolution(model.characters[padded].T[None])[0]
        found.append(outputs[:, :-1].amax(1))
    return torch.stack(found)


def test_a_words_characters_are_read(model: CdlmModel, batch: Any, vocabulary: Any) -> None:
    words = model.read(batch.ids, batch.mask)
    ids = words.characters[2, 0]
    assert "".join(vocabulary.convert_ids_to_tokens((ids[ids >= 0] + model.shape.words).tolist())) == " A d a s s"


@torch.no_grad()
def test_the_sampled_softmax_is_the_formula(model: CdlmModel, batch: Any) -> None:
    words = model.read(batch.ids, batch.mask)
    torch.manual_seed(7)
    losses = language_loss(model, words, TARGET, 4)
    torch.manual_seed(7)
    drawn, tries = draw_words(model.shape.words, 4, torch.device("cpu"))
    expected = [
        -np.expm1(tries * np.log1p(-log((k + 2) / (k + 1)) / log(model.shape.words + 1)))
        for k in range(model.shape.words)
    ]
    states = model.states(words, LANGUAGE, TARGET)
    for number, length in enumerate((3, 3, 3, 1)):
        ids, total = [1, *words.ids[number, :length].tolist(), 1], 0.0
        for place in range(length):
            for half, wanted in ((states[number, place, :6], ids[place + 2]), (states[number, place, 6:], ids[place])):

                def score(word: int, half: torch.Tensor = half) -> float:
                    return float(half @ model.next_words[word] + model.next_bias[word]) - log(expected[word])

                others = [score(word) for word in drawn.tolist() if word != wanted]
                total += 0.5 * (float(torch.logsumexp(torch.tensor([score(wanted), *others]), 0)) - score(wanted))
        assert float(losses[number]) == pytest.approx(total, rel=1e-4)


def test_drawn_words_are_different_and_frequent_ones_are_drawn_more() -> None:
    torch.manual_seed(2)
    draws = [draw_words(1000, 50, torch.device("cpu")) for _ in range(200)]
    assert all(len(set(words.tolist())) == 50 and tries >= 50 for words, tries in draws)
    counts = np.bincount(np.concatenate([words.numpy() for words, _ in draws]), minlength=1000) / 200
    wanted = np.mean([np.exp(log_expected(torch.arange(1000), 1000, tries).numpy()) for _, tries in draws], axis=0)
    assert np.abs(counts - wanted).max() < 0.15
    assert abs(counts[:10].sum() - wanted[:10].sum()) < 0.3
    assert sorted(draw_words(5, 50, torch.device("cpu"))[0].tolist()) == [0, 1, 2, 3, 4]


def test_a_folder_gives_the_same_scores(model: CdlmModel, vocabulary: Any, batch: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, vocabulary)
    assert ModelFolder.open(tmp_path).check().head_name == "cdlm"
    opened = open_cdlm(str(tmp_path), load_tokenizer(str(tmp_path))).eval()
    assert torch.equal(opened.scores(batch), model.scores(batch))


def test_files_that_do_not_belong_together_are_refused(
    model: CdlmModel, shape: CdlmShape, vocabulary: Any, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    CdlmModel(replace(shape, states=7)).save_pretrained(tmp_path)
    other = path.read_bytes()
    model.save_pretrained(tmp_path)
    with raises(InputError, "its vocabulary isn't the one that cdlm.json tells of"):
        open_cdlm(str(tmp_path), make_vocabulary(EXAMPLES[:1]))
    for weights, words in (
        (other, "doesn't have the tensors that cdlm.json tells of"),
        (b"\\0" * 99, "can't be loaded as a CDLM model"),
    ):
        path.write_bytes(weights)
        with raises(InputError, words):
            open_cdlm(str(tmp_path), vocabulary)
    path.unlink()
    with raises(InputError, "a CDLM tagger without model.safetensors"):
        ModelFolder.open(tmp_path).check()


NAMES, LENGTHS = ("O", "B-x", "I-x"), (4, 1, 3)
COUNT = len(NAMES)


@pytest.fixture
def crf() -> Crf:
    torch.manual_seed(3)
    found = Crf(NAMES)
    for each in found.parameters():
        each.data.normal_()
    return found


@pytest.fixture
def emissions() -> torch.Tensor:
    torch.manual_seed(4)
    return torch.randn(len(LENGTHS), max(LENGTHS), COUNT)


MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


def plain_score(crf: Crf, emissions: torch.Tensor, path: tuple[int, ...]) -> float:
    total = crf.first[path[0]] + crf.last[path[-1]]
    total = total + sum(emissions[word, tag] for word, tag in enumerate(path))
    return float((total + sum(crf.transitions[a, b] for a, b in pairwise(path))).detach())


def all_scores(crf: Crf, emissions: torch.Tensor, length: int) -> dict[tuple[int, ...], float]:
    return {path: plain_score(crf, emissions, path) for path in product(range(COUNT), repeat=length)}


@pytest.mark.parametrize(
    "tags", [[[0, -100, 1, -100], [-100] * 4, [1, 2, -100, 0]], [[0, 2, 1, 1], [2, 0, 0, 0], [1, 2, 0, 1]]]
)
def test_the_loss_is_that_of_all_paths_and_unknown_tags_may_be_any(
    crf: Crf, emissions: torch.Tensor, tags: list[list[int]]
) -> None:
    losses = crf.loss(emissions, torch.tensor(tags), MASK).detach()
    for number, length in enumerate(LENGTHS):
        scores = all_scores(crf, emissions[number], length)
        wanted = tags[number][:length]
        fits = [each for path, each in scores.items() if all(a in (b, -100) for a, b in zip(wanted, path, strict=True))]
        expected = torch.logsumexp(torch.tensor(list(scores.values())), 0) - torch.logsumexp(torch.tensor(fits), 0)
        assert float(losses[number]) == pytest.approx(float(expected), abs=1e-4)


def test_what_lies_beyond_a_sequence_has_no_gradient(crf: Crf, emissions: torch.Tensor) -> None:
    emissions.requires_grad_()
    crf.loss(emissions, torch.zeros(MASK.shape, dtype=torch.long), MASK).sum().backward()  # type: ignore[no-untyped-call]
    assert emissions.grad is not None
    assert (emissions.grad[~MASK] == 0).all()
    assert (emissions.grad[MASK] != 0).all()


def is_legal(path: tuple[int, ...]) -> bool:
    return path[0] != 2 and all(after != 2 or before for before, after in pairwise(path))


def test_the_best_legal_path_through_each_tag(crf: Crf, emissions: torch.Tensor) -> None:
    found = crf.best_through(emissions, MASK).detach()
    for number, length in enumerate(LENGTHS):
        scores = {path: each for path, each in all_scores(crf, emissions[number], length).items() if is_legal(path)}
        for word, tag in product(range(length), range(COUNT)):
            through = [score for path, score in scores.items() if path[word] == tag]
            if through:
                assert float(found[number, word, tag]) == pytest.approx(max(through), abs=1e-4)
            else:
                assert found[number, word, tag] < -9000
        viterbi = max(scores, key=lambda path: scores[path])
        assert tuple(found[number, :length].argmax(1).tolist()) == viterbi
    one = crf.best_through(emissions[1:2, :1], MASK[1:2, :1]).detach()
    torch.testing.assert_close(one, found[1:2, :1])
