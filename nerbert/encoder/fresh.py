"""A small encoder from nothing: a cased WordPiece tokenizer trained on the corpus, and a BERT with random weights."""

from collections.abc import Iterable
from typing import Any

_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_POSITIONS = 512


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A cased WordPiece tokenizer (BERT's normalisation and splitting) as a fast `transformers` tokenizer."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=_SPECIALS, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=_POSITIONS, **names)


def fresh_model(vocabulary: int, layers: int, width: int, tags: list[str], seed: int) -> Any:
    """A BERT tagger of `layers` × `width` with random weights."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
        intermediate_size=4 * width, max_position_embeddings=_POSITIONS, pad_token_id=0,
        id2label=dict(enumerate(tags)), label2id={tag: number for number, tag in enumerate(tags)},
    )  # fmt: skip
    return BertForTokenClassification(config)
