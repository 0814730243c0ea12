"""What `import nerbert` shows, and what it must not load."""

import gc
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import nerbert
from nerbert.errors import InputError, NerbertError, SettingsError

HEAVY = ["torch", "transformers", "accelerate", "tokenizers", "numpy", "pyarrow", "lxml", "nltk", "rich", "cyclopts"]
TORCH_FREE = [
    "nerbert.corpus.build",
    "nerbert.render.corpus",
    "nerbert.corpus.knowledge.knowledge",
    "nerbert.formats.conll",
    "nerbert.metrics",
    "nerbert.config",
    "nerbert.cli",
]


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_names_are_sorted_and_there() -> None:
    assert sorted(nerbert.__all__) == nerbert.__all__
    for name in nerbert.__all__:
        assert getattr(nerbert, name) is not None


def test_dir_lists_the_public_names() -> None:
    assert dir(nerbert) == nerbert.__all__


@pytest.mark.parametrize(
    ("name", "module"), [("finetune", "nerbert.finetuning.finetune"), ("Tagger", "nerbert.tagger.tagger")]
)
def test_science_loads_little_and_no_presentation(name: str, module: str) -> None:
    loaded = _loaded_by(f"import nerbert; nerbert.{name}; import {module}")
    ours = {each for each in loaded if each.split(".")[0] == "nerbert"}
    assert {"nerbert", module} <= ours
    assert len(ours) <= 60
    corpus = {each for each in ours if each.startswith("nerbert.corpus")}
    assert corpus <= {"nerbert.corpus", "nerbert.sentences"}
    assert not [each for each in loaded if each.startswith(("nerbert.render", "jinja2", "markupsafe"))]


def test_import_loads_nothing_heavy() -> None:
    assert not set(HEAVY) & _loaded_by("import nerbert")


def test_the_core_runs_without_torch() -> None:
    blocked = "torch", "transformers", "accelerate", "tokenizers", "safetensors"
    block = "".join(f"sys.modules[{name!r}] = None; " for name in blocked)
    loaded = _loaded_by(f"import sys; {block}import {', '.join(TORCH_FREE)}")
    assert set(TORCH_FREE) <= loaded


def test_building_a_corpus_loads_no_page_and_no_card() -> None:
    assert not {"nerbert.render", "jinja2"} & _loaded_by("import nerbert.corpus.build")


def test_help_loads_no_torch() -> None:
    code = "from nerbert.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not {"torch", "transformers", "pyarrow", "nltk"} & _loaded_by_output(code)


def _loaded_by_output(code: str) -> set[str]:
    code += "\nimport sys, json; print('\\nMODULES' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.rpartition("MODULES")[2]))


@pytest.mark.parametrize("command", [["pretrain", "x.toml", "-o", "x"], ["finetune", "x", "--data", "x", "-o", "x"],
                                     ["tag", "x"], ["export", "x"],
                                     ["quickstart"]])  # fmt: skip
def test_without_torch_the_extra_is_named(command: list[str]) -> None:
    block = "sys.modules['torch'] = sys.modules['onnxruntime'] = None"
    code = f"import sys; {block}; from nerbert.cli import main; main({command})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "nerbert: torch not installed: pip install 'nerbert[train]'\n"


SENTENCES = [nerbert.example("In Oslo she met Ada.", [(3, 7, "port"), (16, 19, "person")])]


def test_wrong_keywords_are_named_before_and_while_it_runs() -> None:
    """A type checker refuses each of these calls, or an ignored error would be one too many."""
    with pytest.raises(SettingsError, match="unknown setting 'max_step': did you mean 'max_steps'"):
        nerbert.finetune("embedded", SENTENCES, max_step=2)  # type: ignore[call-arg]
    with pytest.raises(SettingsError, match="setting max_steps = '2': must be a whole number"):
        nerbert.finetune("embedded", SENTENCES, max_steps="2")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="setting select = 'best': must be 'last' or 'dev'"):
        nerbert.finetune("embedded", SENTENCES, select="best")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="setting overlaps = 'longer'"):
        nerbert.read_data("x", overlaps="longer")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="settings: dict is not a FinetuneSettings; pass one, or keywords"):
        nerbert.finetune("embedded", SENTENCES, settings={"epochs": 2})  # type: ignore[arg-type]


def test_sections_are_keywords() -> None:
    """A type checker knows each section's keys; a mapping or a section object is taken."""
    from nerbert.encoder.gazetteers import GazetteersSettings
    from nerbert.encoder.objectives.zero_shot.start import ZeroShotSettings

    with pytest.raises(SettingsError, match=r"unknown setting 'zero_shot\.max_type': did you mean 'max_types'"):
        nerbert.finetune("embedded", SENTENCES, zero_shot={"max_type": 3})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"setting tagging\.label_smoothing = 1: must be a number, at least 0"):
        nerbert.pretrain("x", tagging={"label_smoothing": 1})
    with pytest.raises(
        SettingsError, match=r"zero_shot\.max_types: is for objective 'zero_shot', but objective = 'tag"
    ):
        nerbert.finetune("embedded", SENTENCES, zero_shot=ZeroShotSettings(max_types=3))
    settings = nerbert.FinetuneSettings(sections=(GazetteersSettings(max_words=3),))
    with pytest.raises(SettingsError, match="setting gazetteers: is for `nerbert pretrain` only"):
        nerbert.finetune("embedded", SENTENCES, settings=settings, tagging={"label_smoothing": 0.1})


def test_a_section_over_settings_is_merged_key_by_key(tmp_path: Path) -> None:
    from nerbert.training.tagging import TaggingSettings

    settings = nerbert.FinetuneSettings(max_steps=1, threads=1, sections=(TaggingSettings(label_smoothing=0.1),))
    nerbert.finetune("embedded", SENTENCES, tmp_path / "t", settings, tagging={"outside_weight": 0.5})
    card = json.loads((tmp_path / "t" / "nerbert.json").read_text())
    assert card["settings"]["tagging"] == {
        "label_all_tokens": False, "label_smoothing": 0.1, "outside_weight": 0.5, "joined_layer": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "entities", "why"),
    [
        ("Oslo", [("0", 4, "port")], r"entity \('0', 4, 'port'\): write \(start, end, type\)"),
        ("Oslo", [(0.0, 4.0, "port")], "write"),
        ("Oslo", [(0, 4)], "write"),
        ("Oslo", [(0, 4, None)], "write"),
        ("Oslo", [{"start": 0, "end": 4, "type": "port"}], "write"),
        ("Oslo", [nerbert.Span(0, 4, "port", "Rome")], "Rome"),
        (5, [], "a sentence is a str, not int"),
    ],
)
def test_an_entity_that_is_none_is_one_line(text: Any, entities: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        nerbert.example(text, entities)


def test_entities_are_given_as_a_tagger_gives_them() -> None:
    import numpy as np

    found = nerbert.Spans("In Oslo.", [nerbert.Span(3, 7, "port", "Oslo", 0.4)])
    gold = nerbert.example("In Oslo.", [(3, 7, "port")])
    assert nerbert.example(found.text, found) == nerbert.example("In Oslo.", [[np.int64(3), 7, "port"]]) == gold  # type: ignore[list-item]


def test_a_temporary_tagger_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(NerbertError, match="nothing to learn"):
        nerbert.finetune("embedded", [nerbert.example("Nobody slept.")], max_steps=1)
    assert not list(tmp_path.glob("nerbert-*"))
    tagger = nerbert.finetune("embedded", {"train": SENTENCES, "dev": SENTENCES}, max_steps=1, threads=1)
    (folder,) = tmp_path.glob("nerbert-*")  # torch has folders of its own there
    nerbert._remove(str(folder), os.getpid() + 1)
    again: nerbert.Tagger = pickle.loads(pickle.dumps(tagger))
    assert again.tag(SENTENCES[0].text) == tagger.tag(SENTENCES[0].text)
    assert nerbert.evaluate(tagger, SENTENCES).not_finetuned == ()
    del tagger
    gc.collect()
    assert not folder.exists()
    with pytest.raises(InputError, match="is gone, so the tagger can't be saved, pushed or pickled"):
        again.save_pretrained(tmp_path / "kept")
