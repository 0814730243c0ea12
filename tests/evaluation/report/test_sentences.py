"""Which sentences are shown, how much of them, and in which order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.data.splits import GoldSentences
from nerbert.errors import InputError
from nerbert.evaluation.evaluate import Evaluation, Scored
from nerbert.evaluation.report.difference import compare
from nerbert.evaluation.report.sentences import (
    ROOM,
    ScoredAnswers,
    ShownEntity,
    ShownSentence,
    cut_sentence,
    missed_sentences,
    worst_sentences,
)
from nerbert.formats.conll import example_of
from nerbert.labels import bio_from_spans
from nerbert.metrics.judging import MistakeKind
from nerbert.model.heads import WordTags
from nerbert.records import Example
from tests.evaluation.report.answers import GOLD, RIGHT, WRONG, Found, told
from tests.raised import raises

NOTHING = Evaluation("f", 1, {}, ())


def answers(examples: list[Example], found: list[list[Found]]) -> ScoredAnswers:
    tagged = list[WordTags]()
    for example, spans in zip(examples, found, strict=True):
        sure = [1.0] * len(example.words)
        for start, end, _, confidence in spans:
            sure[start:end] = [confidence] * (end - start)
        tagged.append(WordTags(bio_from_spans(len(example.words), [each[:3] for each in spans]), sure))
    return ScoredAnswers.of(Scored(told(), GoldSentences("f", examples, "f", ""), tagged, 1.0))


def of(name: dict[str, list[Found]]) -> ScoredAnswers:
    return answers(GOLD, [[*name.get(each.tokens[0], ())] for each in GOLD])


def test_entities_say_what_is_wrong_with_them() -> None:
    sentence = cut_sentence(of(WRONG), 0)  # type: ignore[arg-type]
    assert sentence == ShownSentence(
        1,
        "Fram left New Oslo today .",
        True,
        True,
        (ShownEntity(0, 4, "ship", MistakeKind.TYPE), ShownEntity(10, 18, "port", MistakeKind.BOUNDARY)),
        (ShownEntity(0, 4, "port", MistakeKind.TYPE, 0.85), ShownEntity(14, 18, "port", MistakeKind.BOUNDARY, 0.95)),
    )
    right = cut_sentence(of(WRONG), 0, of(RIGHT)).other  # type: ignore[arg-type]
    assert right == (ShownEntity(0, 4, "ship", None, 0.9), ShownEntity(10, 18, "port", None, 0.8))


def test_the_surest_mistakes_come_first_and_the_rest_is_counted() -> None:
    examples = [example_of([f"w{n}", "x"], ["O", "O"]) for n in range(40)]
    found = [[(0, 1, "t", round(0.1 + 0.02 * n, 2))] for n in range(39)] + [[]]
    listed = worst_sentences(answers(examples, found), 5)
    assert [each.number for each in listed.sentences] == [39, 38, 37, 36, 35]
    assert (listed.total, listed.left_out) == (39, 34)


def test_sentences_with_the_most_missed_entities_come_first() -> None:
    examples = [example_of(["a", "b"], tags) for tags in (["B-t", "O"], ["B-t", "B-t"], ["O", "O"], ["B-t", "O"])]
    listed = missed_sentences(answers(examples, [[], [], [], [(1, 2, "t", 0.5)]]))
    assert [each.number for each in listed.sentences] == [2, 1], "the last one has a wrong entity, too"


@given(
    st.lists(st.sampled_from(["x", "word", "y" * 50, "z" * 1000]), min_size=1, max_size=400),
    st.integers(0, 399),
    st.integers(1, 30),
)
def test_what_is_shown_of_a_long_sentence(words: list[str], place: int, length: int) -> None:
    start = place % len(words)
    end = min(len(words), start + length)
    example = example_of(words, ["O"] * len(words))
    sentence = cut_sentence(answers([example], [[(start, end, "t", 0.5)]]), 0)
    assert 0 < len(sentence.text) <= ROOM
    assert sentence.text in example.text
    assert sentence.begins == example.text.startswith(sentence.text) or "x" in words or len(set(words)) < len(words)
    assert (len(example.text) <= ROOM) == (sentence.text == example.text)
    (entity,) = sentence.predicted
    assert 0 <= entity.start < entity.end <= len(sentence.text)
    assert sentence.text[entity.start : entity.end] in " ".join(words[start:end])
    if len(words[start]) < 100:
        assert sentence.text[entity.start :].startswith(words[start])


def test_a_sentence_is_in_the_list_of_its_worst_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    one = answers(GOLD, [[(0, 1, "ship", 0.9), (2, 3, "port", 0.8)], [(0, 1, "port", 0.7)], [], [(0, 1, "ship", 0.5)]])
    other = answers(
        GOLD,
        [
            [(0, 1, "port", 0.9), (3, 4, "port", 0.8)],
            [(0, 1, "ship", 0.7), (2, 3, "ship", 0.5)],
            [(0, 1, "port", 0.2)],
            [(0, 1, "ship", 0.6)],
        ],
    )
    found = compare(one, other, "other", NOTHING)
    assert found.counts == {"broken": 2, "changed": 1, "fixed": 2}
    assert {effect: [each.number for each in listed.sentences] for effect, listed in found.sentences.items()} == {
        "broken": [2],
        "changed": [1],
        "fixed": [3],
    }
    monkeypatch.setattr("nerbert.evaluation.report.difference.MOST", 0)
    assert compare(one, other, "other", NOTHING).sentences["broken"].left_out == 1


def test_other_words_can_not_be_compared() -> None:
    with raises(InputError, words="other: cuts the texts into other words than the first tagger"):
        compare(answers(GOLD[:1], [[]]), answers(GOLD[1:2], [[]]), "other", NOTHING)


def test_confidences_are_those_of_entities() -> None:
    found = of(WRONG)  # type: ignore[arg-type]
    assert np.allclose(found.confidences, [0.85, 0.95, 0.7, 0.3])
    assert found.right.tolist() == [False, False, True, False]
