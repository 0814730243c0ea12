"""A tokenizer on `tokenizers` alone cuts as `transformers`' own does."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.tagger.onnx import Exported, LightTokenizer, OnnxCard, Weights
from nerbert.words import split_words
from tests.raised import raises

LEVELS = ("byte-level", "byte-level, spaces in offsets")
ODD = ["Paris ", "[MASK]", "<s>", "é", "e\u0301", "北京", "\r\n"]
TEXTS = st.lists(st.characters(exclude_categories=["Cs"]) | st.sampled_from(ODD), max_size=30).map("".join)


def card(**facts: Any) -> OnnxCard:
    return OnnxCard(format=1, tags=["O"], made_from=Weights({}), **facts)


@pytest.fixture(scope="module", params=["wordpiece", *LEVELS, "unigram", "chinese"])
def both(request: pytest.FixtureRequest, tokenizers: dict[str, Any], config: Any, tmp_path_factory: Any) -> Any:
    """The cutter of a `transformers` tokenizer, and the one that is made of what an export holds."""
    tokenizer = tokenizers[request.param]
    own = SubwordTokenizer(tokenizer, config(), 32)
    path = tmp_path_factory.mktemp("light") / "tokenizer.json"
    path.write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
    return own, Exported(path.parent, {}, card(**own.facts())).pieces(32, "window")


@given(texts=st.lists(TEXTS, max_size=3))
def test_windows_are_the_same(both: tuple[SubwordTokenizer, SubwordTokenizer], texts: list[str]) -> None:
    examples = [Example(text, split_words(text)) for text in ["plain words [SEP] </s>", *texts]]
    own, light = (list(pieces.windows(examples)) for pieces in both)
    assert own == light
    assert both[0].facts() == both[1].facts()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": 1}', "\ud800"])
def test_what_is_no_tokenizer_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with raises(InputError, "tokenizer.json") as caught:
        LightTokenizer(tmp_path / "tokenizer.json", card(before=[], after=[], pad_id=0, room=8, vocabulary=9))
    assert "\n" not in str(caught.value)
