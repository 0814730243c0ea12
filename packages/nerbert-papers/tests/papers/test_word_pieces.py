from pathlib import Path

import pytest
import torch

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.model.backbone import load_tokenizer, save_tokenizer
from nerbert.model.tokenizer import BioLabels
from nerbert.records import Example
from nerbert_papers.cdlm.word_pieces import WordPieces, count_words, make_vocabulary, read_vectors, subword_means
from tests.raised import raises

EXAMPLES = [example_of("Ada saw 12 boats".split(), ["B-x", "O", "O", "O"]), example_of("Ada saw".split(), ["B-x", "O"])]


def test_the_vocabulary_has_words_by_frequency_then_characters(tmp_path: Path) -> None:
    made = make_vocabulary(EXAMPLES)
    names = made.convert_ids_to_tokens(list(range(len(made))))
    assert names[:6] == ["[PAD]", "[UNK]", "Ada", "saw", "00", "boats"]
    assert names[6:9] == [" a", " s", " A"]
    save_tokenizer(tmp_path, made)
    assert load_tokenizer(str(tmp_path)).get_vocab() == made.get_vocab()
    assert count_words(made) == 6


def test_a_word_is_its_piece_and_those_of_its_characters() -> None:
    made = make_vocabulary(EXAMPLES)
    pieces = WordPieces(made, 250)
    example = example_of(["Ada", "99", "zsz"], ["B-x", "O", "O"])
    (window,) = pieces.windows([example], BioLabels(["O", "B-x", "I-x"]))
    names = made.convert_ids_to_tokens(list(window.ids))
    assert names == ["Ada", " A", " d", " a", "00", "[UNK]", " s"]
    assert (window.words, window.positions, window.labels) == ((0, 1, 2), (0, 4, 5), (1, 0, 0))


def test_white_space_in_words_is_not_read() -> None:
    example = Example(" Ada saw", ((0, 4), (5, 8)))
    made = make_vocabulary([example])
    assert made.convert_ids_to_tokens(list(range(len(made))))[2:4] == ["Ada", "saw"]
    assert count_words(made) == 4
    (window,) = WordPieces(made, 9).windows([example])
    assert made.convert_ids_to_tokens(list(window.ids))[:4] == ["Ada", " A", " d", " a"]


def test_long_sentences_are_cut_at_words() -> None:
    made = make_vocabulary(EXAMPLES)
    example = example_of(["saw"] * 20, ["O"] * 20)
    windows = list(WordPieces(made, 8).windows([example]))
    assert [word for each in windows for word in each.words] == list(range(20))
    assert max(sum(piece < count_words(made) for piece in each.ids) for each in windows) == 8
    assert [each.words for each in WordPieces(made, 8, on_too_long="truncate").windows([example])] == [tuple(range(8))]
    with raises(InputError, "a sentence of 20 words is longer than a window"):
        list(WordPieces(made, 8, on_too_long="error").windows([example]))


def test_another_tokenizer_is_refused(tiny_encoder: Path) -> None:
    with raises(InputError, "isn't a vocabulary of words and characters"):
        count_words(load_tokenizer(str(tiny_encoder)))


def test_vectors_are_those_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("4 3\nada 1 2 3\nsaw 3 4 5\nother 5 6 7\n. . . 5 6 7\n")
    found = {word: vector.tolist() for word, vector in read_vectors(path).items()}
    assert found == {"ada": [1, 2, 3], "saw": [3, 4, 5], "other": [5, 6, 7], ". . .": [5, 6, 7]}


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("saw 1 2\nada 1\n", 2, "expected a word and 2 numbers; the line has 2 parts"),
        ("saw 1 2 x\n", 1, "a vector's number can't be read"),
        ("saw 1 2 nan\n", 1, "a vector has a number that isn't finite"),
        ("", None, "has no vector"),
    ],
)
def test_a_broken_file_of_vectors_names_the_line(tmp_path: Path, content: str, line: int | None, words: str) -> None:
    (tmp_path / "v.txt").write_text(content)
    with raises(InputError, words, line=line):
        read_vectors(tmp_path / "v.txt")


def test_a_words_vector_is_the_mean_of_its_subwords(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_encoder))
    table = torch.randn(len(tokenizer), 4).numpy()
    ids = tokenizer("boats", add_special_tokens=False)["input_ids"]
    assert subword_means(tokenizer, table, ["boats"])[0].tolist() == pytest.approx(table[ids].mean(0).tolist())
