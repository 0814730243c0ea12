from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.data.splits import DataSet
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import train_tagger
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.conll import example_of
from nerbert.formats.documents import example_of_spans
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.surgery import train_tokenizer
from nerbert.model.tokenizer import (
    BioLabels,
    EntityBorders,
    SubwordTokenizer,
    best_window,
    cut_at_words,
    entity_borders,
    tell_hidden_entities,
    window_places,
)
from nerbert.model.windows import IGNORED, Window
from nerbert.records import Example
from nerbert.words import split_words
from tests.encoder.backbones import Given, predict
from tests.raised import raises

Conll = Callable[[str], Example]
Tagged = list[tuple[str, str]]
NAMES = ["O", "B-a", "I-a", "B-b"]
WORDS = ["Paris", "a", "xyzzy", "\u200d", "Tromsø", "北京大学", ".", "İstanbul", "Nebukadnezar", "👩‍👩‍👧", "在学。"]


def subwords(tokenizer: Any, longest: int = 64, **more: Any) -> SubwordTokenizer:
    """The pieces of a BERT with room for them."""
    from transformers import BertConfig

    return SubwordTokenizer(tokenizer, BertConfig(vocab_size=3000, max_position_embeddings=4000), longest, **more)


def given_tags(tags: Sequence[str], names: Sequence[str] = NAMES) -> Given:
    return Given([list(tags)], list(names))


def pieces_of(tokenizer: Any, example: Example) -> dict[int, str]:
    """Word → the text of the piece that stands for it."""
    cut = tokenizer(example.text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True)
    pieces, offsets = subwords(tokenizer), cut["offset_mapping"]
    (window,) = pieces.windows([example])
    places = [position - len(pieces._before) for position in window.positions]
    assert places == sorted(place for place in places if 0 <= place < len(offsets))
    spans = [offsets[place] for place in places]
    return {word: example.text[start:end] for word, (start, end) in zip(window.words, spans, strict=True)}


@pytest.mark.parametrize(
    "text", ["The Margarethe sailed to Tromsø .", "( U.S. ) and don't", "İstanbul naïve ﬁne 𝔘nicode", "👩‍👩‍👧 in Paris"]
)
def test_each_word_begins_with_its_first_piece(tokenizer: Any, conll: Conll, text: str) -> None:
    example = conll(text)
    found = pieces_of(tokenizer, example)
    assert list(found) == list(range(len(example.words)))
    for word, piece in found.items():
        start, end = example.words[word]
        mine = piece.lstrip()
        assert mine, (word, piece)
        assert example.text[start:end].startswith(mine[: end - start]), (word, piece)


@pytest.mark.parametrize("odd", ["\u200d", "\x01", "\u200b", "\ufeff", "\x7f", "\u0301"])
def test_odd_tokens_do_not_shift_the_others(tokenizer: Any, odd: str) -> None:
    tokens = ["Paris", odd, "and", odd, odd, "Rome"]
    tags = ["B-a", "B-odd", "O", "B-odd", "I-odd", "B-b"]
    example = example_of(tokens, tags)
    (window,) = subwords(tokenizer).windows([example], given_tags(tags, ["O", "B-a", "B-b"]))
    at = dict(zip(window.words, zip(window.positions, window.labels, strict=True), strict=True))
    assert [at[word][1] for word in (0, 2, 5)] == [1, 0, 2]
    assert window.ids[at[0][0]] == tokenizer("Paris", add_special_tokens=False)["input_ids"][0]
    found = pieces_of(tokenizer, example)
    assert [found[word].strip()[0] for word in (0, 2, 5)] == ["P", "a", "R"]


def test_bert_uncased_keeps_offsets(conll: Conll) -> None:
    tokenizer = train_tokenizer(["the élan of zürich"] * 9, 300)
    tokenizer.backend_tokenizer.normalizer.lowercase = True
    tokenizer.backend_tokenizer.normalizer.strip_accents = True
    found = pieces_of(tokenizer, conll("The ÉLAN of Zürich"))
    assert len(found) == 4
    assert found[1].startswith("É")


def test_words_in_one_piece_follow_the_first_and_punctuation_stays_outside(tokenizers: dict[str, Any]) -> None:
    text, tags = "在北京大学在北京", ["O", "B-org", "I-org", "I-org", "I-org", "O", "B-org", "I-org"]
    pieces = subwords(tokenizers["chinese"])
    (window,) = pieces.windows([Example(text, split_words(text))], given_tags(tags, ["O", "B-org", "I-org"]))
    assert window.words == tuple(range(8))
    first = window.positions[1]
    assert window.positions[1:] == (first, first, first + 1, first + 1, first + 2, first + 3, first + 3)
    assert window.labels == (0, 1, IGNORED, 2, IGNORED, 0, 1, IGNORED)
    (window,) = pieces.windows([Example("在学。", split_words("在学。"))])
    assert tokenizers["chinese"].convert_ids_to_tokens(window.ids)[-1] == "学。"
    assert window.words == (0, 1)


@pytest.mark.parametrize("name", ["unigram", "chinese"])
def test_a_sentencepiece_tokenizer_is_cut_at_words_and_stays_so(
    tokenizers: dict[str, Any], tmp_path: Path, name: str
) -> None:
    cut = cut_at_words(deepcopy(tokenizers[name]))
    assert cut_at_words(cut) is cut
    cut.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert cut_at_words(loaded) is loaded
    for text in ("在北京大学在北京。", "am 31.03.2027 (C++), 서울에서 กำแพง @a_b"):
        words = split_words(text)
        offsets = loaded(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        pieces = [(start + (text[start] == " "), end) for start, end in offsets if text[start:end].strip()]
        assert pieces
        for start, end in pieces:
            assert any(first <= start and end <= last for first, last in words), text[start:end]


_OF_ME5 = "▁am ▁7 ▁7. ▁Januar ▁20 27 ▁und ▁31 ▁31. . 03 20 03.20 ▁oder ▁1 ▁1. 48 0 480 0,00 , 00 ▁€".split()
"""Subwords of multilingual-e5-small: some have parts of two words."""
DATES = example_of_spans(
    "am 7. Januar 2027 und 31.03.2027 oder 1.480,00 €", [(3, 17, "date"), (22, 32, "date"), (38, 48, "amount")]
)


def test_dates_and_amounts_are_whole_in_a_training(tmp_path: Path) -> None:
    """Their words shared subwords, so that some had no label, and the model never found one whole."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    pieces = Tokenizer(models.Unigram([("<unk>", 0.0), *((piece, -len(_OF_ME5) / len(piece)) for piece in _OF_ME5)], 0))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="<unk>").save_pretrained(tmp_path)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=99, max_position_embeddings=64, **size)).save_pretrained(tmp_path)
    before, after = load_tokenizer(str(tmp_path)), Backbone.of(str(tmp_path), seed=1).tokenizer
    assert borders([DATES], before).hidden == 3
    assert borders([DATES], after) == EntityBorders(3)
    (window,) = SubwordTokenizer(after, CONFIG, 64).windows([DATES], BioLabels(["O", "B-date", "I-date", "I-amount"]))
    assert window.words == tuple(range(len(DATES.words)))
    assert len(set(window.positions)) == len(DATES.words)
    assert window.labels[:5] == (0, 1, 2, 2, 2)


def test_other_tokenizers_are_not_cut(tokenizers: dict[str, Any]) -> None:
    for name in ("wordpiece", "byte-level"):
        assert cut_at_words(tokenizers[name]) is tokenizers[name]


def test_special_pieces_in_a_text_are_text(tokenizers: dict[str, Any], conll: Conll) -> None:
    for name, mark in (("wordpiece", "[SEP]"), ("byte-level", "<pad>")):
        (window,) = subwords(tokenizers[name]).windows([conll(f"a {mark} b")])
        assert tokenizers[name].convert_tokens_to_ids(mark) not in window.ids[1:-1]


def read_off(windows: list[Window]) -> list[tuple[int, int]]:
    """(word, its first piece) of all windows."""
    return sorted((w, window.ids[p]) for window in windows for w, p in zip(window.words, window.positions, strict=True))


@given(st.integers(1, 300), st.integers(2, 50))
def test_windows_overlap_and_the_best_context_wins(length: int, body: int) -> None:
    windows = window_places(length, body)
    assert {place for each in windows for place in range(*each)} == set(range(length))
    for place in range(length):
        start, end = windows[best_window(windows, place, place, length)]
        assert start <= place < end <= start + body
        left = place - start if start else length
        right = end - 1 - place if end < length else length
        assert min(left, right) >= min(body // 8, 1) - 1
    first, last = windows[-1][0], windows[0][1] - 1
    if len(windows) == 2 and first + 1 < last:
        assert best_window(windows, first, first + 1, length) == 0
        assert best_window(windows, last, last + 1, length) == 1


@given(st.integers(1, 60), st.integers(8, 30))
def test_truncated_sentences_keep_their_first_window(tokenizers: dict[str, Any], length: int, longest: int) -> None:
    example = example_of(["Paris"] * length, ["O"] * length)
    cut = subwords(tokenizers["wordpiece"], longest, on_too_long="truncate")
    (long,) = subwords(tokenizers["wordpiece"], 512).windows([example])
    (short,) = cut.windows([example], given_tags(["O"] * length))
    assert len(short.ids) <= longest
    assert short.words == long.words[: len(short.words)]
    assert short.positions == long.positions[: len(short.words)]
    assert len(short.labels) == len(short.words) == sum(position <= cut.body for position in long.positions)


@pytest.mark.parametrize(("on_too_long", "cut"), [("window", [16, 16]), ("error", [25]), ("truncate", [25])])
def test_a_tagger_has_the_windows_of_its_training(tokenizers: dict[str, Any], on_too_long: str, cut: list[int]) -> None:
    pieces = subwords(tokenizers["wordpiece"], on_too_long=on_too_long, window=16)
    whole, long = (list(pieces.windows([example_of(["a"] * count, ["O"] * count)])) for count in (24, 25))
    assert ([len(window.ids) - 2 for window in whole], [len(window.ids) - 2 for window in long]) == ([24], cut)
    assert sorted(word for window in long for word in window.words) == [*range(25)]


@pytest.mark.parametrize(
    ("kind", "positions", "pad"), [("bert", 64, 0), ("roberta", 66, 1), ("xlm-roberta", 66, 1), ("distilbert", 64, 0)]
)
def test_the_models_positions_limit_windows(
    tokenizers: dict[str, Any], config: Callable[..., Any], kind: str, positions: int, pad: int
) -> None:
    assert SubwordTokenizer(tokenizers["byte-level"], config(kind, positions, pad_token_id=pad), 256).body == 62


def test_the_longest_window_goes_through_the_model(tokenizers: dict[str, Any], conll: Conll) -> None:
    from transformers import RobertaConfig, RobertaForTokenClassification

    from nerbert.model.forward import TorchScorer

    config = RobertaConfig(
        vocab_size=1000,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=64,
        max_position_embeddings=34,
        pad_token_id=1,
        num_labels=3,
    )
    pieces = SubwordTokenizer(tokenizers["byte-level"], config, 256)
    scorer = TorchScorer(RobertaForTokenClassification(config), "fp32")
    (found,) = predict(scorer, pieces, [conll("Paris " * 99 + "Rome")], ["O", "B-x", "I-x"])
    assert len(found.tags) == 100
    assert all(0 < each < 1 for each in found.confidences)


def test_what_does_not_fit_is_refused(tokenizers: dict[str, Any], conll: Conll) -> None:
    with raises(SettingsError, "max_length = 3: leaves 1 pieces"):
        subwords(tokenizers["wordpiece"], 3)
    small = subwords(tokenizers["wordpiece"])
    small.vocabulary = 10
    with raises(InputError, "don't belong together"):
        list(small.windows([conll("Paris Rome")]))


def test_a_tokenizer_of_more_pieces_than_the_model_has_is_refused_at_once(tokenizers: dict[str, Any]) -> None:
    from transformers import BertConfig

    for made in (deepcopy(tokenizer) for tokenizer in tokenizers.values()):
        config = BertConfig(vocab_size=len(made))
        made.add_special_tokens({"additional_special_tokens": ["[NEW]"]})  # no text has it
        SubwordTokenizer(made, config, 64)
        made.add_tokens(["Oslo"])
        with raises(InputError, f"the tokenizer gives piece {len(made) - 1}, the model knows {len(made) - 2}"):
            SubwordTokenizer(made, config, 64)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60), st.integers(8, 40))
def test_each_word_is_read_once_whatever_the_windows(
    tokenizers: dict[str, Any], words: list[str], longest: int
) -> None:
    example = example_of(words, ["O"] * len(words))
    for tokenizer in tokenizers.values():
        uncut, windows = subwords(tokenizer, 512), list(subwords(tokenizer, longest).windows([example]))
        read = [word for window in windows for word in window.words]
        assert read == sorted(set(read))
        assert all(len(window.ids) <= longest for window in windows)
        assert read_off(windows) == read_off(list(uncut.windows([example])))


SEOUL = [example_of_spans("나는 서울에서 왔다.", [(3, 5, "city")])]
BANGKOK = [example_of_spans("เขาไปกรุงเทพเมื่อวาน", [(5, 12, "city")])]
BEIJING = [example_of_spans("王小明在北京。", [(4, 6, "city")])]
OSLO = [example_of_spans("She left Oslo for Qx.", [(9, 13, "city"), (18, 20, "city")])]
ONE_STEP = FinetuneSettings(max_steps=1, min_steps=0, precision="fp32", threads=1)
CONFIG: Any = SimpleNamespace(model_type="bert", max_position_embeddings=512, vocab_size=0, name_or_path="")


def borders(examples: list[Example], tokenizer: Any, most: int = 64) -> EntityBorders:
    by_type = entity_borders(examples, SubwordTokenizer(tokenizer, CONFIG, most))
    return EntityBorders(*map(sum, zip(*by_type.values(), strict=True)))


@pytest.mark.parametrize(
    ("examples", "found"),
    [
        (SEOUL, EntityBorders(1, hidden=1, unknown=1)),
        (BANGKOK, EntityBorders(1, hidden=1, unknown=1)),
        (OSLO, EntityBorders(2)),
    ],
)
def test_an_english_tokenizer_hides_entities_of_scripts_without_spaces(
    examples: list[Example], found: EntityBorders
) -> None:
    assert borders(examples, load_tokenizer("embedded")) == found


@pytest.mark.parametrize("examples", [SEOUL, BANGKOK, BEIJING, OSLO])
@pytest.mark.parametrize("most", [64, 6])
def test_a_tokenizer_of_the_corpus_hides_none(examples: list[Example], most: int) -> None:
    """Nor where a sentence lies in several windows."""
    texts = [each.text for each in examples] * 20
    assert borders(examples, train_tokenizer(texts, 300), most) == EntityBorders(len(examples[0].spans))


def test_a_word_that_ends_after_the_entity_hides_it() -> None:
    """Made of whole words, "서울에서" is one subword; the entity's end lies in it, then its begin."""
    tokenizer = _by_white_space("서울에서", "북서울", "서울")
    for text, hidden in (("x 서울에서", 1), ("x 북서울", 1), ("x 서울 y", 0)):
        start = text.index("서울")
        found = borders([example_of_spans(text, [(start, start + 2, "city")])], tokenizer)
        assert found == EntityBorders(1, hidden=hidden)


@pytest.mark.parametrize(
    ("text", "entity", "found"),
    [
        ("x Berlin-based y", "Berlin", EntityBorders(1, hidden=1, unknown=1)),
        ("x C++ y", "C++", EntityBorders(1, hidden=1, unknown=1)),
        ("x Q - Z y", "Q - Z", EntityBorders(1, unknown=1)),
        ("x Q known y", "Q known", EntityBorders(1)),
        ("x y", "x", EntityBorders(1, unknown=1)),
        ("x 7.8 known y", "7.8 known", EntityBorders(1, hidden=1)),
    ],
)
def test_punctuation_inside_a_subword_hides_an_entity(text: str, entity: str, found: EntityBorders) -> None:
    """No answer is read off for it, so it stays outside."""
    marked = example_of_spans(text, [(start := text.index(entity), start + len(entity), "x")])
    assert borders([marked], _by_white_space("known")) == found


@pytest.mark.parametrize(("others", "warns"), [(19, True), (20, False)])
def test_one_entity_in_twenty_is_told(others: int, warns: bool, capsys: pytest.CaptureFixture[str]) -> None:
    pieces = SubwordTokenizer(_by_white_space("Oslo"), CONFIG, 64)
    hidden, plain = example_of_spans("Oslo x-y", [(5, 6, "a")]), example_of_spans("Oslo", [(0, 4, "a")])
    tell_hidden_entities([hidden, *[plain] * others], pieces, f"with {others}")
    assert ("5.00 % of entities share a subword" in capsys.readouterr().err) == warns


def test_a_type_that_is_hidden_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    pieces = SubwordTokenizer(_by_white_space("Oslo"), CONFIG, 64)
    date, plain = example_of_spans("Oslo 7.3", [(5, 8, "date")]), example_of_spans("Oslo", [(0, 4, "city")])
    tell_hidden_entities([*[date] * 3, *[plain] * 97], pieces, "dates")
    assert "100.00 % of entities of type 'date' share a subword" in capsys.readouterr().err


def _by_white_space(*words: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = Tokenizer(models.WordLevel({"[UNK]": 0} | {word: number for number, word in enumerate(words, 1)}, "[UNK]"))
    known.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=known, unk_token="[UNK]")


def test_fine_tuning_warns_once_and_not_where_words_are_read(
    tiny_gliner: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for _ in range(2):
        train_tagger("embedded", Domains(DataSet(tmp_path, BANGKOK)), ONE_STEP)
    said = capsys.readouterr().err
    assert said.count("100.00 % of entities share a subword") == 1
    assert said.count("100.00 % of entities have only words that the tokenizer doesn't know") == 1
    for encoder, examples in (("embedded", OSLO), (str(tiny_gliner), SEOUL)):
        train_tagger(encoder, Domains(DataSet(tmp_path, examples)), ONE_STEP)
        assert "warning" not in capsys.readouterr().err
