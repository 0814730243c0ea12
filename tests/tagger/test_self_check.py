"""A tagger that checks itself: what makes its answers differ, what doesn't, and when it is asked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.model.folder import TaggerFacts, read_card
from nerbert.tagger import self_check_answers
from nerbert.tagger.self_check import add_check, check
from nerbert.tagger.self_check_answers import CHECK, Checked, check_texts
from nerbert.tagger.tagger import Tagger
from tests.calls import noted
from tests.commands import exit_code
from tests.raised import raises

Caught = pytest.CaptureFixture[str]


def checked(folder: Path, **loading: Any) -> Checked:
    (found,) = check(folder, backend="torch", device="cpu", **{"precision": "fp32", **loading})
    return found


def edit(file: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def change_weight(folder: Path, name: str, by: float) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    key = next(each for each in weights if name in each)
    weights[key] = weights[key].clone()
    weights[key][0] += by
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_new_tagger_answers_as_expected(folder: Path, capsys: Caught) -> None:
    texts = check_texts()
    assert len(texts) == len(set(texts)) == 20
    assert any(char > "\uffff" for text in texts for char in text)
    assert any(text.isascii() and text.islower() for text in texts)
    found = checked(folder)
    assert (found.differences, found.projection) == ([], 0)
    assert [each.text for each in found.expected.answers] == texts
    assert any(each.spans for each in found.expected.answers)
    assert {"nerbert", "python", "torch", "transformers", "tokenizers"} <= found.versions.keys()
    assert exit_code("check", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["ok"]


def test_other_precision_and_options_are_within_the_tolerance(folder: Path) -> None:
    found = checked(folder, precision="bf16")
    assert found.projection > 0
    assert found.differences == []
    loaded = Tagger.load(folder, device="cpu", precision="fp32", thresholds=1.0, decoding="greedy", offsets="utf-16")
    assert not self_check_answers.compare(loaded, str(folder), found.expected).differences


@pytest.mark.parametrize("name", ["classifier.bias", "layer.0.attention"])
def test_a_changed_weight_differs(folder: Path, name: str, capsys: Caught) -> None:
    change_weight(folder, name, 0.1)
    found = checked(folder)
    assert found.differences
    assert found.projection > found.tolerance.projection
    assert exit_code("check", folder, "--precision", "fp32", "--device", "cpu") == 1
    shown = capsys.readouterr().out
    assert "have different answers (torch fp32 cpu" in shown
    assert found.differences[0].expected.text in shown


def _swap(config: Any) -> None:
    names = config["id2label"]
    names["1"], names["3"] = names["3"], names["1"]
    config["label2id"] = {name: int(number) for number, name in names.items()}


def test_another_order_of_labels_differs_by_the_projection_and_a_temperature_by_confidences(folder: Path) -> None:
    edit(folder / "nerbert.json", lambda card: card.update(calibration={"temperature": 3.0}))
    found = checked(folder)
    assert found.projection == 0
    assert found.differences
    edit(folder / "config.json", _swap)
    assert checked(folder).projection > 10 * self_check_answers.TOLERANCES["fp32"].projection


def test_without_answers_the_message_says_how_to_make_them(folder: Path, capsys: Caught) -> None:
    (folder / CHECK).unlink()
    with raises(InputError, f"`nerbert check {folder} --renew`"):
        checked(folder)
    assert exit_code("check", folder, "--renew") == 0
    assert "20 texts are answered as expected" in capsys.readouterr().out
    assert (folder / CHECK).is_file()


ANSWER = {"text": "a", "spans": [], "projection": 0.0}


def damaged(*texts: dict[str, Any], decoding: str = "legal") -> str:
    """A file of other versions with these answers."""
    made = {"format": 1, "versions": {"torch": "1.0"}, "platform": "", "backend": "", "decoding": decoding}
    return json.dumps(made | {"answers": texts})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "not JSON"),
        ('{"format": 2}', "format"),
        (damaged(), "answers"),
        (damaged(ANSWER, decoding="best"), "decoding"),
        (damaged(ANSWER | {"spans": [{"start": 2, "end": 1, "type": "x"}]}), "empty or negative"),
        (damaged(ANSWER | {"text": "a" * 20_000}), "at most 10000 characters"),
        (" " * (self_check_answers._LARGEST + 1), "more than"),
    ],
)
def test_a_damaged_file_is_one_line_and_the_tagger_loads(folder: Path, content: str, why: str, capsys: Caught) -> None:
    (folder / CHECK).write_text(content)
    assert Tagger.load(folder, device="cpu", precision="fp32").tag("Ada") is not None
    told = capsys.readouterr().err
    assert told.startswith("not checked: ")
    assert why in told
    assert (told.count(str(folder)), told.count("\n")) == (1, 1)
    with raises(SettingsError if why == "decoding" else InputError, why):
        checked(folder)


def test_other_versions_are_checked_once(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    def load() -> str:
        Tagger.load(folder, device="cpu", precision="fp32")
        return capsys.readouterr().err

    def made_with(torch: str) -> None:
        edit(folder / CHECK, lambda made: made["versions"].update(torch=torch))
        self_check_answers.CHECKED.clear()

    asked = noted(monkeypatch, self_check_answers, "compare", lambda tagger, name, expected: name)
    now = self_check_answers.read_versions()["torch"]
    made_with(".".join([*now.split(".")[:2], "99"]))
    assert (load(), asked) == ("", [])
    made_with("1.0.0")
    assert load() == load() == ""
    assert len(asked) == 1
    made_with("1.0.0")
    change_weight(folder, "classifier.bias", 0.5)
    assert f"(torch 1.0.0 then, {now} now) 20 of 20 texts have other answers" in load()
    assert load() == ""


def test_a_tagger_that_cannot_be_asked_is_finished_without(folder: Path, capsys: Caught) -> None:
    (folder / CHECK).unlink()
    (folder / "tokenizer.json").write_text("{}")
    carded: list[Path] = []

    def card(place: Path, _: TaggerFacts) -> bool:
        carded.append(place)
        return True

    assert add_check(card)(folder, TaggerFacts(read_card(str(folder))))
    assert carded == [folder]
    assert capsys.readouterr().err.startswith("no check.json was written: ")
