import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from nerbert.errors import InputError, SettingsError
from nerbert.formats.conll import example_of
from nerbert.formats.examples import read_examples
from nerbert.labels import spans_from_bio
from nerbert.model.forward import TorchScorer
from nerbert.model.linear import LinearHead
from nerbert.model.windows import Padded
from nerbert.records import Example, Span
from nerbert.tagger.tagger import Tagger

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


@settings(max_examples=100)
@given(st.lists(ALPHABET, max_size=60).map("".join))
def test_offsets_are_exact_for_any_text(tagger: Tagger, text: str) -> None:
    check(text, tagger.tag(text))


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n\n", "\u200d", "\x00\x01", SHIP, f"{SHIP}\r\n{SHIP}\r{SHIP}", SHIP.replace(" ", "\u00a0"),
        f"👩‍👩‍👧 {SHIP}", SHIP.replace("a", "a\u0301"), f"שלום {SHIP} مرحبا", f"\ufeff{SHIP}", f"\ud800 {SHIP} \udfff",
        f"{SHIP}\u2028{SHIP}\x0b{SHIP}\x85{SHIP}",
    ],
)  # fmt: skip
def test_odd_texts(tagger: Tagger, text: str) -> None:
    spans = tagger.tag(text)
    check(text, spans)
    if "Margarethe was" in text:
        assert spans


@pytest.mark.parametrize("text", [SHIP[:-1] * 400, "x" * 50_000, "Margarethe " * 4000])
def test_very_long_lines(tagger: Tagger, text: str) -> None:
    check(text, tagger.tag(text))


def test_many_texts_are_lazy_and_ordered(tagger: Tagger) -> None:
    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        for number in range(600):
            taken += 1
            yield f"{number} Margarethe" if number % 2 else ""

    found = tagger.tag_many(texts())
    assert taken == 0
    first = next(found)
    assert taken < 600
    rest = list(found)
    assert len([first, *rest]) == 600
    for number, spans in enumerate([first, *rest]):
        check(f"{number} Margarethe" if number % 2 else "", spans)


def test_a_text_of_many_blocks_is_the_sum_of_its_lines(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [SHIP, "Nothing here.", f"{SHIP} {SHIP}", ""] * 5
    whole = "\n".join(lines)
    wanted = tagger.tag(whole)
    assert len(wanted) >= 15
    for words in (1, 7, 30):
        monkeypatch.setattr("nerbert.tagger.pending._BLOCK_WORDS", words)
        texts = ["", whole, SHIP, whole, ""]
        found = list(tagger.tag_many(iter(texts)))
        assert len(found) == 5
        for text, spans in zip(texts, found, strict=True):
            check(text, spans)
        places = [[(each.start, each.end, each.type) for each in spans] for spans in found]
        assert places[1] == places[3] == [(each.start, each.end, each.type) for each in wanted]


def test_ten_megabytes_at_once(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    """One text, one line; the model is left out, since it would take minutes."""
    seen: list[int] = []
    head = tagger.head
    assert isinstance(head, LinearHead)

    def score(batch: Any) -> Any:
        seen.append(batch.ids.size)
        return np.tile(np.eye(len(head.tags), dtype=np.float32)[1], (len(batch.rows), 1))

    monkeypatch.setattr(tagger, "head", replace(head, scorer=score))
    text = f"{'x' * 199} " * 50_000
    spans = tagger.tag(text)
    assert len(text) == 10_000_000
    assert len(spans) == 50_000
    assert max(seen) <= 8192
    assert [(each.start, each.end) for each in spans[-2:]] == [(9_999_600, 9_999_799), (9_999_800, 9_999_999)]


@pytest.mark.parametrize("offsets", ["characters", "utf-16"])
def test_offsets_in_utf_16(tiny_tagger: Path, offsets: str) -> None:
    text = f"👩‍👩‍👧 {SHIP} 🚢 {SHIP}"
    spans = Tagger.load(tiny_tagger, device="cpu", offsets=offsets).tag(text)
    assert spans
    units = text.encode("utf-16-le")
    for span in spans:
        if offsets == "characters":
            assert text[span.start : span.end] == span.text
        else:
            assert units[2 * span.start : 2 * span.end].decode("utf-16-le") == span.text


LONG = " ".join(f"Margarethe {number}" for number in range(400))


def test_long_sentences_as_the_user_wants(tiny_tagger: Path) -> None:
    def load(how: str) -> Tagger:
        return Tagger.load(tiny_tagger, device="cpu", on_too_long=how)

    whole, cut = load("window").tag(LONG), load("truncate").tag(LONG)
    assert cut
    assert max(each.end for each in cut) < len(LONG) / 2 < max(each.end for each in whole)
    with pytest.raises(InputError, match="longer than a window of 254; use on_too_long = 'window'"):
        load("error").tag(LONG)
    assert load("error").tag(SHIP)
    with pytest.raises(SettingsError, match="on_too_long = 'cut': must be 'window', 'truncate' or 'error'"):
        load("cut")


def test_what_is_not_sure_enough_is_left_out(tiny_tagger: Path, tagger: Tagger) -> None:
    texts = [SHIP, "The whaler Ingeborg left Bergen in May.", LONG]
    every = [span for spans in tagger.tag_many(texts) for span in spans]
    middle = sorted(span.confidence for span in every)[len(every) // 2]
    sure = Tagger.load(tiny_tagger, device="cpu", thresholds=middle)
    assert [each for spans in sure.tag_many(texts) for each in spans] == [e for e in every if e.confidence >= middle]
    type_ = every[0].type
    typed = Tagger.load(tiny_tagger, device="cpu", thresholds={type_: 1.0})
    assert {each.type for spans in typed.tag_many(texts) for each in spans} == {e.type for e in every} - {type_}
    with pytest.raises(SettingsError, match="no type 'nonesuch'"):
        Tagger.load(tiny_tagger, thresholds={"nonesuch": 0.5})


def test_given_words_are_kept(tagger: Tagger) -> None:
    words = "The brig Margarethe was built by Larsen & Holm".split()
    examples = [example_of(words, ["O"] * len(words)), Example("", ()), example_of(["Margarethe"], ["O"])] * 300
    found = list(tagger.tag_many(iter(examples)))
    assert len(found) == 900
    for example, spans in zip(examples, found, strict=True):
        check(example.text, spans)
        ends = {place for word in example.words for place in word}
        assert {place for span in spans for place in (span.start, span.end)} <= ends
    tags = tagger.tag_examples(examples[:1])[0].tags
    assert len(found[0]) == len(spans_from_bio(tags)) > 0


def test_legal_tags_and_greedy_ones(tiny_tagger: Path, sample: Path) -> None:
    examples = read_examples(sample / "domain" / "test.conll")
    illegal = {}
    for decoding in ("legal", "greedy", ""):
        tags = [each.tags for each in Tagger.load(tiny_tagger, device="cpu", decoding=decoding).tag_examples(examples)]
        illegal[decoding] = sum(
            tag.startswith("I-") and tag[2:] != before[2:] for row in tags for before, tag in pairwise(["O", *row])
        )
    assert illegal["legal"] == illegal[""] == 0 < illegal["greedy"]
    with pytest.raises(SettingsError, match="decoding = 'best'"):
        Tagger.load(tiny_tagger, decoding="best")


def test_taggers_of_others_are_decoded_greedily(tiny_tagger: Path, tmp_path: Path) -> None:
    """They may be trained on other schemes, where an I- begins an entity."""
    foreign = Path(shutil.copytree(tiny_tagger, tmp_path / "foreign"))
    (foreign / "nerbert.json").unlink()
    assert Tagger.load(foreign).decoding == "greedy"


def test_only_text_is_tagged(tagger: Tagger) -> None:
    with pytest.raises(InputError, match="can't tag bytes"):
        tagger.tag(b"bytes")  # type: ignore[arg-type]


def test_types_are_sorted(tagger: Tagger) -> None:
    assert tagger.types == sorted(tagger.types)
    assert {span.type for span in tagger.tag(SHIP)} <= set(tagger.types)


def _config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def _card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / "nerbert.json").read_text())
    (folder / "nerbert.json").write_text(json.dumps(card | changes))


def _pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _headless(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name.removeprefix("bert."): each for name, each in weights.items() if "classifier" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def _labels(folder: Path, *names: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    size = len(config["id2label"])
    _config(folder, id2label={str(place): names[place % len(names)] + str(place) for place in range(size)}, label2id={})


def _sequence(folder: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(folder)
    config.id2label, config.label2id = {0: "NEGATIVE", 1: "POSITIVE"}, {"NEGATIVE": 0, "POSITIVE": 1}
    BertForSequenceClassification(config).save_pretrained(folder)


def _seeds(folder: Path) -> None:
    shutil.copytree(folder, folder / "seed-1")
    (folder / "config.json").unlink()


BREAKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (shutil.rmtree, "no such folder"),
    "file": (lambda f: _replace(f, file=True), "is a file"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "empty": (lambda f: _replace(f, file=False), "no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "pickled": (_pickled, "pickled weights are refused"),
    "headless": (_headless, "no head"),
    "labels": (lambda f: _labels(f, "LABEL_"), "not a BIO tagger"),
    "BIOES": (lambda f: _labels(f, "S-x"), "not a BIO tagger"),
    "no O": (lambda f: _labels(f, "B-x"), "lack O"),
    "sequences": (_sequence, "not a"),
    "torn weights": (lambda f: (f / "model.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"garbage!"), "can't be"),
    "short weights": (lambda f: _cut(f / "model.safetensors"), "can't be loaded"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "can't be loaded"),
    "torn config": (lambda f: _cut(f / "config.json"), "not JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "must be an object"),
    "binary config": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "not JSON"),
    "unknown type": (lambda f: _config(f, model_type="nonesuch"), "can't be loaded"),
    "own code": (lambda f: _config(f, model_type="nonesuch", auto_map={"AutoConfig": "evil.Evil"}), "can't be"),
    "wrong size": (lambda f: _config(f, hidden_size="wide"), "can't be loaded"),
    "torn tokenizer": (lambda f: _cut(f / "tokenizer.json"), "tokenizer"),
    "no tokenizer": (lambda f: _remove_all(f, "tokenizer*"), "tokenizer"),
    "card format": (lambda f: _card(f, format=99), "format = 99: must be 1; the card is damaged"),
    "card splitter": (lambda f: _card(f, word_splitter="next-year-1"), "word splitter 'next-year-1'"),
    "card length": (lambda f: _card(f, max_length="long"), "max_length"),
    "torn card": (lambda f: _cut(f / "nerbert.json"), "not JSON"),
    "several seeds": (_seeds, "holds a tagger for each seed; name one"),
}


def _replace(path: Path, *, file: bool) -> None:
    shutil.rmtree(path)
    if file:
        path.write_text("x")
    else:
        path.mkdir()


def _remove_all(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", BREAKS)
def test_a_wrong_folder_is_one_line(
    tiny_tagger: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any, **named: Any) -> None:
        raise AssertionError("unpickled")

    folder = Path(shutil.copytree(tiny_tagger, tmp_path / "model"))
    change, said = BREAKS[name]
    change(folder)
    monkeypatch.setattr(torch, "load", never)
    with pytest.raises(InputError, match=said) as caught:
        Tagger.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_precision_is_what_was_asked_for(tiny_tagger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    score = TorchScorer.__call__

    def spy(self: TorchScorer, batch: Padded) -> Any:
        handle = self._model.classifier.register_forward_hook(lambda *given: seen.append(given[2].dtype))
        found = score(self, batch)
        handle.remove()
        return found

    monkeypatch.setattr(TorchScorer, "__call__", spy)
    for precision in ("fp32", "bf16"):
        assert Tagger.load(tiny_tagger, precision=precision, device="cpu").tag(SHIP)
    assert seen == [torch.float32, torch.bfloat16]
    with pytest.raises(SettingsError, match="precision = 'fp16'"):
        Tagger.load(tiny_tagger, precision="fp16")


@pytest.mark.parametrize("name", ["this:s", "x\x1b[2J:y", "linear; rm -rf ~", "a" * 9999])
def test_a_folders_head_is_neither_imported_nor_shown_as_it_is(tiny_tagger: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "theirs"
    shutil.copytree(tiny_tagger, folder)
    (folder / "nerbert.json").write_text(json.dumps(json.loads((folder / "nerbert.json").read_text()) | {"head": name}))
    sys.modules.pop("this", None)
    with pytest.raises(SettingsError, match="code outside of nerbert") as caught:
        Tagger.load(folder)
    assert str(caught.value).startswith(f"{folder}: its head is ")
    assert "this" not in sys.modules
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(folder)) + 200
    assert ("--head" in str(caught.value)) == (name == "this:s")
