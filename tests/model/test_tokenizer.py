from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError, SettingsError
from nerbert.formats.conll import example_of
from nerbert.model.tokenizer import SubwordTokenizer, _window_of, _window_starts
from nerbert.model.windows import IGNORED, Label, Window
from nerbert.records import Example
from nerbert.words import split_words
from tests.encoder.backbones import Given, predict

Conll = Callable[[str], Example]
Config = Callable[..., Any]


def pieces_of(tokenizer: Any, pieces: SubwordTokenizer, example: Example) -> dict[int, str]:
    """Word → the text of the piece that stands for it."""
    offsets = tokenizer(example.text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True)
    (window,) = pieces.windows([example])
    places = [position - len(pieces._before) for position in window.positions]
    spans = [offsets["offset_mapping"][place] for place in places]
    return {word: example.text[start:end] for word, (start, end) in zip(window.words, spans, strict=True)}


@pytest.mark.parametrize(
    "text", ["The Margarethe sailed to Tromsø .", "( U.S. ) and don't", "İstanbul naïve ﬁne 𝔘nicode", "👩‍👩‍👧 in Paris"]
)
def test_each_word_begins_with_its_first_piece(tokenizer: Any, config: Config, conll: Conll, text: str) -> None:
    example = conll(text)
    found = pieces_of(tokenizer, SubwordTokenizer(tokenizer, config(), 64), example)
    assert list(found) == list(range(len(example.words)))
    for word, piece in found.items():
        start, end = example.words[word]
        mine = piece.lstrip()
        assert mine, (word, piece)
        assert example.text[start:end].startswith(mine[: end - start]), (word, piece)


@pytest.mark.parametrize("odd", ["\u200d", "\x01", "\u200b", "\ufeff", "\x7f", "\u0301"])
def test_odd_tokens_do_not_shift_the_others(tokenizer: Any, config: Config, odd: str) -> None:
    tokens = ["Paris", odd, "and", odd, odd, "Rome"]
    tags = ["B-a", "B-odd", "O", "B-odd", "I-odd", "B-b"]
    example = example_of(tokens, tags)
    (window,) = SubwordTokenizer(tokenizer, config(), 64).windows([example], Given([tags], ["O", "B-a", "B-b"]))
    at = dict(zip(window.words, zip(window.positions, window.labels, strict=True), strict=True))
    first = {word: tokenizer(tokens[word], add_special_tokens=False)["input_ids"] for word in (0,)}
    assert [at[word][1] for word in (0, 2, 5)] == [1, 0, 2]
    assert window.ids[at[0][0]] == first[0][0]
    found = pieces_of(tokenizer, SubwordTokenizer(tokenizer, config(), 64), example)
    assert [found[word].strip()[0] for word in (0, 2, 5)] == ["P", "a", "R"]


def test_bert_uncased_keeps_offsets(config: Config, conll: Conll) -> None:
    from nerbert.model.fresh import train_tokenizer

    tokenizer = train_tokenizer(["the élan of zürich"] * 9, 300)
    tokenizer.backend_tokenizer.normalizer.lowercase = True
    tokenizer.backend_tokenizer.normalizer.strip_accents = True
    found = pieces_of(tokenizer, SubwordTokenizer(tokenizer, config(), 64), conll("The ÉLAN of Zürich"))
    assert len(found) == 4
    assert found[1].startswith("É")


def test_words_in_one_piece_follow_the_first(tokenizers: dict[str, Any], config: Config) -> None:
    text = "在北京大学在北京"
    example = Example(text, split_words(text))
    tags = ["O", "B-org", "I-org", "I-org", "I-org", "O", "B-org", "I-org"]
    (window,) = SubwordTokenizer(tokenizers["chinese"], config(), 64).windows(
        [example], Given([tags], ["O", "B-org", "I-org"])
    )
    assert window.words == tuple(range(8))
    first = window.positions[1]
    assert window.positions[1:] == (first, first, first + 1, first + 1, first + 2, first + 3, first + 3)
    assert window.labels == (0, 1, IGNORED, 2, IGNORED, 0, 1, IGNORED)


def test_punctuation_in_a_words_piece_stays_outside(tokenizers: dict[str, Any], config: Config) -> None:
    (window,) = SubwordTokenizer(tokenizers["chinese"], config(), 64).windows(
        [Example("在学。", split_words("在学。"))]
    )
    assert tokenizers["chinese"].convert_ids_to_tokens(window.ids)[-1] == "学。"
    assert window.words == (0, 1)


def test_special_pieces_in_a_text_are_text(tokenizers: dict[str, Any], config: Config, conll: Conll) -> None:
    for name, mark in (("wordpiece", "[SEP]"), ("byte-level", "<pad>")):
        pieces = SubwordTokenizer(tokenizers[name], config(), 64)
        (window,) = pieces.windows([conll(f"a {mark} b")])
        special = tokenizers[name].convert_tokens_to_ids(mark)
        assert special not in window.ids[1:-1]


def read_off(windows: list[Window]) -> list[tuple[int, int]]:
    """(word, its first piece) of all windows."""
    pairs = [(w, window.ids[p]) for window in windows for w, p in zip(window.words, window.positions, strict=True)]
    return sorted(pairs)


def check(pieces: SubwordTokenizer, example: Example, windows: list[Window]) -> None:
    words = [word for window in windows for word in window.words]
    assert words == sorted(set(words))
    edges = len(pieces._before) + len(pieces._after)
    assert all(len(window.ids) <= pieces.body + edges for window in windows)
    for window in windows:
        inner = range(len(pieces._before), len(window.ids) - len(pieces._after))
        assert all(position in inner for position in window.positions)
        assert list(window.positions) == sorted(window.positions)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["Paris", "a", "xyzzy", "\u200d", "Tromsø", "北京大学", "."]), min_size=1, max_size=80),
       st.integers(8, 40))  # fmt: skip
def test_windows_hold_each_word_once(tokenizers: dict[str, Any], tokens: list[str], longest: int) -> None:
    from transformers import BertConfig

    example = example_of(tokens, ["O"] * len(tokens))
    for tokenizer in tokenizers.values():
        config = BertConfig(vocab_size=3000, max_position_embeddings=512)
        uncut = list(SubwordTokenizer(tokenizer, config, 512).windows([example]))
        cut = SubwordTokenizer(tokenizer, config, longest)
        windows = list(cut.windows([example]))
        check(cut, example, windows)
        assert len(uncut) <= 1
        assert read_off(windows) == read_off(uncut)


@given(st.integers(1, 300), st.integers(2, 50))
def test_windows_overlap_and_the_best_context_wins(length: int, body: int) -> None:
    starts = _window_starts(length, body)
    covered = {place for start in starts for place in range(start, min(start + body, length))}
    assert covered == set(range(length))
    for place in range(length):
        start = starts[_window_of(place, starts, body, length)]
        assert start <= place < start + body
        left = place - start if start else length
        right = start + body - 1 - place if start + body < length else length
        assert min(left, right) >= min(body // 8, 1) - 1


def test_a_very_long_sentence_loses_nothing(tokenizers: dict[str, Any], config: Config, conll: Conll) -> None:
    pieces = SubwordTokenizer(tokenizers["wordpiece"], config(), 16)
    example = conll(" ".join(["Paris"] * 20_000))
    assert sum(len(window.words) for window in pieces.windows([example])) == 20_000


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(8, 30))
def test_truncated_sentences_keep_their_first_window(tokenizers: dict[str, Any], length: int, longest: int) -> None:
    from transformers import BertConfig

    example, config = example_of(["Paris"] * length, ["O"] * length), BertConfig(vocab_size=3000)
    whole = SubwordTokenizer(tokenizers["wordpiece"], config, 512)
    cut = SubwordTokenizer(tokenizers["wordpiece"], config, longest, on_too_long="truncate")
    (long,), (short,) = whole.windows([example]), cut.windows([example], Given([["O"] * length], ["O"]))
    assert len(short.ids) <= longest
    assert short.words == long.words[: len(short.words)]
    assert short.positions == long.positions[: len(short.words)]
    assert len(short.labels) == len(short.words)
    assert len(short.words) == sum(position <= cut.body for position in long.positions)


@pytest.mark.parametrize(
    ("kind", "positions", "pad", "room"),
    [("bert", 64, 0, 62), ("roberta", 66, 1, 62), ("xlm-roberta", 66, 1, 62), ("distilbert", 64, 0, 62)],
)
def test_the_models_positions_limit_windows(
    tokenizers: dict[str, Any], config: Config, kind: str, positions: int, pad: int, room: int
) -> None:
    made = config(kind, positions, pad_token_id=pad)
    assert SubwordTokenizer(tokenizers["byte-level"], made, 256).body == room


def test_the_longest_window_goes_through_the_model(tokenizers: dict[str, Any], conll: Conll) -> None:
    from transformers import RobertaConfig, RobertaForTokenClassification

    from nerbert.model.forward import TorchScorer

    config = RobertaConfig(
        vocab_size=1000, hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64,
        max_position_embeddings=34, pad_token_id=1, num_labels=3,
    )  # fmt: skip
    pieces = SubwordTokenizer(tokenizers["byte-level"], config, 256)
    example = conll("Paris " * 99 + "Rome")
    scorer = TorchScorer(RobertaForTokenClassification(config), "fp32")
    (found,) = predict(scorer, pieces, [example], ["O", "B-x", "I-x"])
    assert len(found.tags) == 100
    assert all(0 < each < 1 for each in found.confidences)


def test_what_does_not_fit_is_refused(tokenizers: dict[str, Any], config: Config, conll: Conll) -> None:
    with pytest.raises(SettingsError, match="max_length = 3"):
        SubwordTokenizer(tokenizers["wordpiece"], config(), 3)
    small = SubwordTokenizer(tokenizers["wordpiece"], config(), 64)
    small.vocabulary = 10
    with pytest.raises(InputError, match="don't belong together"):
        list(small.windows([conll("Paris Rome")]))


def test_a_tag_that_is_not_in_the_names_gives_no_loss(tokenizers: dict[str, Any], config: Config, conll: Conll) -> None:
    (window,) = SubwordTokenizer(tokenizers["wordpiece"], config(), 64).windows(
        [conll("a b")], Given([["B-z", "O"]], ["O", "B-x"])
    )
    assert window.labels == (IGNORED, 0)


NAMES = ["O", "B-a", "I-a", "B-b"]
INSIDE = {IGNORED: IGNORED, 0: 0, 1: 2, 2: 2, 3: IGNORED}
"""The label of a word → that of its further pieces; I-b has no number."""
WORDS = ["Paris", "a", "xyzzy", "\u200d", "Tromsø", "北京大学", ".", "İstanbul", "Nebukadnezar", "👩‍👩‍👧", "在学。"]
Tagged = list[tuple[str, str]]


def labelled_pieces(tokenizer: Any, example: Example, tags: list[str]) -> list[tuple[int, int, Label]]:
    """(word, place, label) of all pieces with a word, told from offsets alone, a piece at a time."""
    offsets = tokenizer(example.text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True)
    first = {place: (word, label) for word, place, label in first_pieces(tokenizer, example, tags)[::-1]}
    shared = {word for word, place, label in first_pieces(tokenizer, example, tags) if first[place][0] != word}
    found: list[tuple[int, int, Label]] = []
    for place, (start, end) in enumerate(offsets["offset_mapping"]):
        inside = [word for word, (left, right) in enumerate(example.words) if left <= start < min(right, end)]
        if place in first:
            found += [each for each in first_pieces(tokenizer, example, tags) if each[1] == place]
        elif inside:
            ((_, label),) = [each for each in first.values() if each[0] == inside[0]] or [(0, IGNORED)]
            found.append(
                (inside[0], place, IGNORED if inside[0] in shared or not isinstance(label, int) else INSIDE[label])
            )
    return found


def first_pieces(tokenizer: Any, example: Example, tags: list[str]) -> list[tuple[int, int, Label]]:
    """(word, place, label) of first pieces, as they were without `further`."""
    from transformers import BertConfig

    pieces = SubwordTokenizer(tokenizer, BertConfig(vocab_size=3000, max_position_embeddings=4000), 4000)
    return [each for window in pieces.windows([example], Given([tags], NAMES)) for each in read(pieces, window)]


def read(pieces: SubwordTokenizer, window: Window) -> list[tuple[int, int, Label]]:
    places = [position - len(pieces._before) for position in window.positions]
    return list(zip(window.words, places, window.labels, strict=True))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([*NAMES, "B-unknown"])), min_size=1, max_size=30))
def test_further_pieces_are_the_inside_of_their_word(tokenizers: dict[str, Any], tagged: Tagged) -> None:
    from transformers import BertConfig

    example, tags = example_of([word for word, _ in tagged], ["O"] * len(tagged)), [tag for _, tag in tagged]
    config = BertConfig(vocab_size=3000, max_position_embeddings=4000)
    for name, tokenizer in tokenizers.items():
        pieces = SubwordTokenizer(tokenizer, config, 4000, further=True)
        windows = list(pieces.windows([example], Given([tags], NAMES)))
        found = [each for window in windows for each in read(pieces, window)]
        assert found == labelled_pieces(tokenizer, example, tags), name
        assert [word for word, _, _ in found] == sorted(word for word, _, _ in found)
        assert [place for _, place, _ in found] == sorted(place for _, place, _ in found)
        assert set(first_pieces(tokenizer, example, tags)) <= set(found)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(NAMES)), min_size=1, max_size=60), st.integers(8, 40))
def test_further_pieces_are_once_in_some_window(tokenizers: dict[str, Any], tagged: Tagged, longest: int) -> None:
    from transformers import BertConfig

    example, tags = example_of([word for word, _ in tagged], ["O"] * len(tagged)), [tag for _, tag in tagged]
    config = BertConfig(vocab_size=3000, max_position_embeddings=4000)
    for tokenizer in tokenizers.values():
        cut = SubwordTokenizer(tokenizer, config, longest, further=True)
        windows = list(cut.windows([example], Given([tags], NAMES)))
        for window in windows:
            inner = range(len(cut._before), len(window.ids) - len(cut._after))
            assert all(position in inner for position in window.positions)
            assert list(window.positions) == sorted(window.positions)
            assert list(window.words) == sorted(window.words)
        ids = tokenizer(example.text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        found = [(w, window.ids[p], label) for window in windows
                 for w, p, label in zip(window.words, window.positions, window.labels, strict=True)]  # fmt: skip
        wanted = [(w, ids[place], label) for w, place, label in labelled_pieces(tokenizer, example, tags)]
        assert sorted(found) == sorted(wanted)
        plain = SubwordTokenizer(tokenizer, config, longest)
        assert list(cut.windows([example])) == list(plain.windows([example]))


def test_further_pieces_of_an_entity(tokenizers: dict[str, Any], config: Config, conll: Conll) -> None:
    tokenizer = tokenizers["wordpiece"]
    (window,) = SubwordTokenizer(tokenizer, config(), 64, further=True).windows(
        [conll("xyzzy Qwrtz a")], Given([["B-a", "I-a", "O"]], NAMES)
    )
    ends = [window.words.index(1), window.words.index(2)]
    assert 1 < ends[0] < ends[1] - 1
    assert window.words == (0,) * ends[0] + (1,) * (ends[1] - ends[0]) + (2,)
    assert window.labels == (1, *[2] * (ends[1] - 1), 0)
    assert window.positions == tuple(range(1, len(window.ids) - 1))


def test_words_that_share_a_piece_give_no_loss_further_on(config: Config) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = [("<unk>", 0.0), ("▁", -2.0), ("北a", -1.0), ("bc", -1.0), ("d", -1.0)]
    cutter = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    cutter.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    example = Example("北abcd d", ((0, 1), (1, 5), (6, 7)))
    pieces = SubwordTokenizer(PreTrainedTokenizerFast(tokenizer_object=cutter), config(), 64, further=True)
    (window,) = pieces.windows([example], Given([["B-a", "I-a", "I-a"]], NAMES))
    assert window.words == (0, 1, 1, 1, 2)
    assert window.positions == (0, 0, 1, 2, 4)
    assert window.labels == (1, IGNORED, IGNORED, IGNORED, 2)


def test_truncated_sentences_lose_further_pieces_too(tokenizers: dict[str, Any], config: Config, conll: Conll) -> None:
    tags = ["B-a"] * 20
    cut = SubwordTokenizer(tokenizers["wordpiece"], config(), 16, on_too_long="truncate", further=True)
    (window,) = cut.windows([conll(" ".join(["Nebukadnezar"] * 20))], Given([tags], NAMES))
    assert window.positions == tuple(range(1, 15))
    assert set(window.labels) == {1, 2}
