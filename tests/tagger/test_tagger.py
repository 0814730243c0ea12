import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from nerbert.data.splits import DataSet
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.finetuning.domains import Domains
from nerbert.formats.conll import example_of
from nerbert.labels import spans_from_bio
from nerbert.model.folder import SIGNS
from nerbert.model.heads import Entities, Head
from nerbert.records import Example, Span
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words
from tests.examples import read_examples
from tests.raised import raises, raising

SHIP = "The brig Margarethe was built by Larsen & Holm in Tromsø."


def check(text: str, spans: list[Span]) -> None:
    end = 0
    for span in spans:
        assert text[span.start : span.end] == span.text
        assert end <= span.start < span.end
        assert 0 < span.confidence <= 1.0001
        assert span.type
        end = span.end


ALPHABET = st.one_of(
    st.characters(),
    st.sampled_from(["Margarethe ", "Larsen & Holm ", " ", ". ", "\r\n", "\u00a0", "👩‍👩‍👧", "e\u0301", "שלום "]),
)


@given(st.lists(ALPHABET, max_size=60).map("".join))
def test_offsets_are_exact_for_any_text(tagger: Tagger, text: str) -> None:
    check(text, tagger.tag(text))


class EachWord(Head):
    """Takes each word for an entity."""

    types = ("thing",)  # type: ignore[assignment]

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of([[((at, at + 1, "thing"), 2.0) for at, _ in enumerate(each.words)] for each in examples])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("We had a 🎉 ★ • → day", ["We", "had", "a", "day"]),
        ("### ✓ 👍 2 ❤️ ½ !", ["2", "½"]),
        ("№ 7 – 北 ©", ["7", "北"]),
    ],
)
def test_an_entity_has_a_letter_or_a_digit_unless_the_training_had_one_without(text: str, names: list[str]) -> None:
    tagger, example = Tagger(EachWord(), "unicode-words-2", "en"), Example(text, split_words(text))
    (tags,) = tagger.tag_examples([example])
    spans = [example.tokens[start] for start, _, _ in spans_from_bio(tags.tags)]
    assert [span.text for span in tagger.tag(text)] == spans == names
    signs = (replace(example, spans=(Span(start, end, "thing"),)) for start, end in example.words[-1:])
    tagger.card = Domains(DataSet(Path("data"), [*signs])).facts("embedded")
    every = [span.text for span in tagger.tag(text)]
    assert every == list(example.tokens) if text[-1] in "!©" else every == names
    assert len(tagger.tag_examples([example])[0].tags) - len(every) == tagger.tag_examples([example])[0].tags.count("O")


ODD = ["", " ", "\n\n", "\u200d", "\x00\x01", SHIP[:-1] * 400, "x" * 50_000, "Margarethe " * 4000]
WITH_SHIP = [
    SHIP,
    f"{SHIP}\r\n{SHIP}\r{SHIP}",
    SHIP.replace(" ", "\u00a0"),
    f"👩‍👩‍👧 {SHIP}",
    f"שלום {SHIP} مرحبا",
    f"\ufeff{SHIP}",
    f"\ud800 {SHIP} \udfff",
    f"{SHIP}\u2028{SHIP}\x0b{SHIP}\x85{SHIP}",
]


def test_odd_texts(tagger: Tagger) -> None:
    for text in [*ODD, SHIP.replace("a", "a\u0301"), *WITH_SHIP]:
        spans = tagger.tag(text)
        check(text, spans)
        assert spans or text not in WITH_SHIP


def test_many_texts_are_lazy_and_ordered(tagger: Tagger) -> None:
    texts = [f"{number} Margarethe" if number % 2 else "" for number in range(600)]
    given = iter(texts)
    found = tagger.tag_many(given)
    answers = [next(found)]
    unread = list(given)
    answers += found
    assert unread
    for text, spans in zip(texts[: 600 - len(unread)], answers, strict=True):
        check(text, spans)


def test_a_text_of_many_blocks_is_the_sum_of_its_lines(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [SHIP, "Nothing here.", f"{SHIP} {SHIP}", ""] * 5
    whole = "\n".join(lines)
    wanted = tagger.tag(whole)
    assert len(wanted) >= 15
    for words in (1, 30):
        monkeypatch.setattr("nerbert.tagger.pending._BLOCK_WORDS", words)
        texts = ["", whole, SHIP, whole, ""]
        found = list(tagger.tag_many(iter(texts)))
        for text, spans in zip(texts, found, strict=True):
            check(text, spans)
        places = [[(each.start, each.end, each.type) for each in spans] for spans in found]
        assert places[1] == places[3] == [(each.start, each.end, each.type) for each in wanted]


def test_a_text_of_one_line_goes_to_the_model_in_batches(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is left out, since it would take long."""
    seen: list[int] = []
    head: Any = tagger.head

    def score(batch: Any) -> Any:
        seen.append(batch.ids.size)
        return np.tile(np.eye(len(head.tags), dtype=np.float32)[1], (len(batch.rows), 1))

    monkeypatch.setattr(tagger, "head", replace(head, scorer=score))
    spans = tagger.tag(f"{'x' * 199} " * 2000)
    assert max(seen) <= 8192
    assert [(each.start, each.end) for each in spans] == [(start, start + 199) for start in range(0, 400_000, 200)]


LONG = " ".join(f"Margarethe {number}" for number in range(400))
OPTIONS: list[tuple[dict[str, Any], type[NerbertError], str]] = [
    ({"on_too_long": "error"}, InputError, "longer than a window of 254; use on_too_long = 'window'"),
    ({"on_too_long": "cut"}, SettingsError, "on_too_long = 'cut': must be 'window', 'truncate' or 'error'"),
    ({"thresholds": {"nonesuch": 0.5}}, SettingsError, "no type 'nonesuch': must be one of "),
    ({"decoding": "best"}, SettingsError, "decoding = 'best'"),
    ({"precision": "fp16"}, SettingsError, "precision = 'fp16'"),
    ({"offsets": "words"}, SettingsError, "offsets = 'words': must be 'characters', 'utf-16' or 'bytes'"),
]


@pytest.mark.parametrize(("options", "kind", "words"), OPTIONS)
def test_messages(tiny_tagger: Path, options: dict[str, Any], kind: type[NerbertError], words: str) -> None:
    with raises(kind, words):
        Tagger.load(tiny_tagger, device="cpu", **options).tag(LONG)


def test_given_words_are_kept(tagger: Tagger) -> None:
    words = "The brig Margarethe was built by Larsen & Holm".split()
    examples = [example_of(words, ["O"] * len(words)), Example("", ()), example_of(["Margarethe"], ["O"])] * 300
    found = list(tagger.tag_many(iter(examples)))
    for example, spans in zip(examples, found, strict=True):
        check(example.text, spans)
        ends = {place for word in example.words for place in word}
        assert {place for span in spans for place in (span.start, span.end)} <= ends
    tags = tagger.tag_examples(examples[:1])[0].tags
    assert len(found[0]) == len(spans_from_bio(tags)) > 0


def test_greedy_spans_are_those_of_transformers_pipeline_where_words_are_the_same(
    tiny_tagger: Path, sample: Path
) -> None:
    """`aggregation_strategy="first"` reads a word off its first piece too; its words are the tokenizer's."""
    from transformers import pipeline

    pipe = pipeline("token-classification", model=str(tiny_tagger), device="cpu", aggregation_strategy="first")
    greedy = Tagger.load(tiny_tagger, backend="torch", device="cpu", precision="fp32", decoding="greedy")
    greedy.card = {SIGNS: True}
    compared = 0
    for text in [each.text for each in read_examples(sample / "domain" / "test.conll")[:60]]:
        tokens = pipe.tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        words = tuple(offsets for _, offsets in tokens)
        if words == split_words(text, greedy.splitter) and len(list(greedy.sentences(text))) == 1:
            theirs = [(each["start"], each["end"], each["entity_group"]) for each in pipe(text)]
            assert [(span.start, span.end, span.type) for span in greedy.tag(text)] == theirs
            compared += 1
    assert compared > 10


def test_taggers_of_others_are_decoded_greedily(folder: Path) -> None:
    """They may be trained on other schemes, where an I- begins an entity."""
    assert Tagger.load(folder).decoding == "legal"
    (folder / "nerbert.json").unlink()
    assert Tagger.load(folder).decoding == "greedy"


def _pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _headless(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name.removeprefix("bert."): each for name, each in weights.items() if "classifier" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def _sequence(folder: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(folder)
    config.id2label, config.label2id = {0: "NEGATIVE", 1: "POSITIVE"}, {"NEGATIVE": 0, "POSITIVE": 1}
    BertForSequenceClassification(config).save_pretrained(folder)


def _seeds(folder: Path) -> None:
    shutil.copytree(folder, folder / "seed-1")
    (folder / "config.json").unlink()


def _file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


BREAKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (shutil.rmtree, "no such folder"),
    "file": (_file, "is a file"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "pickled": (_pickled, "pickled weights are refused"),
    "headless": (_headless, "no head"),
    "sequences": (_sequence, "not a"),
    "torn weights": (lambda f: (f / "model.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"garbage!"), "can't be"),
    "own code": (
        lambda f: (f / "config.json").write_text('{"model_type": "nonesuch", "auto_map": {"AutoConfig": "evil.Evil"}}'),
        "can't be",
    ),
    "torn tokenizer": (lambda f: _cut(f / "tokenizer.json"), "tokenizer"),
    "torn card": (lambda f: _cut(f / "nerbert.json"), "not JSON"),
    "several seeds": (_seeds, "holds a tagger for each seed; name one"),
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", BREAKS)
def test_a_wrong_folder_is_one_line(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, words = BREAKS[name]
    change(folder)
    monkeypatch.setattr(torch, "load", raising(AssertionError("unpickled")))
    with raises(InputError, words) as caught:
        Tagger.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_precision_is_what_was_asked_for(tiny_tagger: Path) -> None:
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        tagger, seen = Tagger.load(tiny_tagger, precision=precision, device="cpu"), list[torch.dtype]()
        head: Any = tagger.head
        head.scorer._model.classifier.register_forward_hook(lambda *given, seen=seen: seen.append(given[2].dtype))
        assert tagger.tag(SHIP)
        assert seen == [kind]


@pytest.mark.parametrize("name", ["this:s", "x\x1b[2J:y", "linear; rm -rf ~", "a" * 9999])
def test_a_folders_head_is_neither_imported_nor_shown_as_it_is(folder: Path, name: str) -> None:
    card = json.loads((folder / "nerbert.json").read_text())
    (folder / "nerbert.json").write_text(json.dumps(card | {"head": name}))
    sys.modules.pop("this", None)
    with raises(SettingsError, "code outside of nerbert") as caught:
        Tagger.load(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}: its head is ")
    assert "this" not in sys.modules
    assert message.isprintable()
    assert len(message) < len(str(folder)) + 200
    assert ("--head" in message) == (name == "this:s")
