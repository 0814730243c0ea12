"""Tokenizers of several kinds, and configurations of tiny models for them."""

from collections.abc import Callable
from typing import Any

import pytest

from nerbert.corpus.shards import read_sentences
from nerbert.formats.conll import example_of
from nerbert.records import Example

KINDS = ("wordpiece", "byte-level", "byte-level, spaces in offsets", "unigram")


@pytest.fixture(scope="session")
def tokenizers(sample_corpus: Any) -> dict[str, Any]:
    """Kind → fast tokenizer, trained on the sample corpus; `chinese` has pieces of several characters."""
    from nerbert.model.surgery import train_tokenizer

    texts = [each.text for each in read_sentences(sample_corpus)]
    levels = {name: _byte_level(texts, trim=name == "byte-level") for name in KINDS[1:3]}
    return {"wordpiece": train_tokenizer(texts, 800), **levels, "unigram": _unigram(texts), "chinese": _chinese()}


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tokenizers: dict[str, Any]) -> Any:
    """One tokenizer of each kind."""
    return tokenizers[request.param]


@pytest.fixture(scope="session")
def config() -> Callable[..., Any]:
    """Make the configuration of a model."""

    def make(model_type: str = "bert", positions: int = 64, **more: Any) -> Any:
        from transformers import AutoConfig

        return AutoConfig.for_model(model_type, max_position_embeddings=positions, vocab_size=3000, **more)

    return make


@pytest.fixture(scope="session")
def conll() -> Callable[[str], Example]:
    """Make an untagged example of tokens with single spaces between."""
    return lambda text: example_of(text.split(" "), ["O"] * len(text.split(" ")))


def _byte_level(texts: list[str], *, trim: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=specials,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=trim, add_prefix_space=False
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, mask_token="<mask>", **names)


def _unigram(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=800, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


def _chinese() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [("<unk>", 0.0), ("▁", -2.0), ("北京", -1.0), ("大学", -1.0), ("在", -1.0), ("学。", -0.1), ("京", -3.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
