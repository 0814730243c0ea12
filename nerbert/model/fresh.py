"""A small encoder from nothing: a cased WordPiece tokenizer trained on the corpus, and a BERT with random weights."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_UNKNOWN = _SPECIALS[1]
_POSITIONS = 512
_ALPHABET = 1000
"""Most characters that pieces are made of."""
_MOST_TEXTS = 1_000_000


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Train a cased WordPiece tokenizer (BERT's normalisation and splitting) as a fast `transformers` one.

    The same texts give the same pieces: the library numbers the inner forms of characters (`##a`) in the order of a
    hash table and breaks ties by these numbers (huggingface/tokenizers#1794), so they are given to it, in order. Of
    more than a million texts the first million are read.
    """
    from tokenizers import Tokenizer, models, trainers

    tokenizer = _bert_like(models.WordPiece(unk_token=_UNKNOWN))
    texts = list(islice(texts, _MOST_TEXTS))
    first, inner = _characters(tokenizer, texts, min(_ALPHABET, (vocabulary - len(_SPECIALS)) // 2))
    given = [*_SPECIALS, *(f"##{each}" for each in inner)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=given, show_progress=False, initial_alphabet=sorted({*first, *inner}),
        limit_alphabet=len({*first, *inner}),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    trained: Tokenizer = _bert_like(
        models.WordPiece(vocab=tokenizer.get_vocab(), unk_token=_UNKNOWN, max_input_chars_per_word=100)
    )
    trained.add_special_tokens(_SPECIALS)
    return _wrapped(trained)


def _bert_like(model: Any) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _characters(tokenizer: Any, texts: Iterable[str], most: int) -> tuple[list[str], list[str]]:
    """Return the characters that words begin with, and those inside them, of the `most` frequent ones."""
    first, inner = Counter[str](), Counter[str]()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            first[word[0]] += 1
            inner.update(word[1:])
    counts = first + inner
    kept = set(sorted(counts, key=lambda each: (-counts[each], each))[:most])
    return sorted(kept & first.keys()), sorted(kept & inner.keys())


def _wrapped(tokenizer: Any) -> Any:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    start, end = ("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[start, end]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=_POSITIONS, **names)


def fresh_config(vocabulary: int, layers: int, width: int) -> Any:
    """Return the configuration of a BERT of `layers` × `width`; `Backbone.load` makes a model of random weights."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
        intermediate_size=4 * width, max_position_embeddings=_POSITIONS, pad_token_id=0,
    )  # fmt: skip
