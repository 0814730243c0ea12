import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from nerbert.encoder.predict import WordTags
from nerbert.errors import InputError, SettingsError
from nerbert.records import Span
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
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "no config.json"),
    "binary config": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "not JSON"),
    "unknown type": (lambda f: _config(f, model_type="nonesuch"), "can't be loaded"),
    "own code": (lambda f: _config(f, model_type="nonesuch", auto_map={"AutoConfig": "evil.Evil"}), "can't be"),
    "wrong size": (lambda f: _config(f, hidden_size="wide"), "can't be loaded"),
    "torn tokenizer": (lambda f: _cut(f / "tokenizer.json"), "tokenizer"),
    "no tokenizer": (lambda f: _remove_all(f, "tokenizer*"), "tokenizer"),
    "card format": (lambda f: _card(f, format=99), "not a card"),
    "card splitter": (lambda f: _card(f, word_splitter="next-year-1"), "word splitter 'next-year-1'"),
    "card length": (lambda f: _card(f, max_length="long"), "max_length"),
    "torn card": (lambda f: _cut(f / "nerbert.json"), "not JSON"),
    "several seeds": (_seeds, "holds 1 taggers"),
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
    seen: list[str] = []

    def spy(*_: Any, precision: str, **__: Any) -> list[WordTags]:
        seen.append(precision)
        return []

    monkeypatch.setattr("nerbert.tagger.tagger.predict", spy)
    for precision in ("auto", "fp32", "bf16"):
        Tagger.load(tiny_tagger, precision=precision).tag_examples([])
    assert seen == ["auto", "fp32", "bf16"]
    with pytest.raises(SettingsError, match="precision = 'fp16'"):
        Tagger.load(tiny_tagger, precision="fp16")
