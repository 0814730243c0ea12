"""What `import nerbert` shows, and what it must not load."""

import gc
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nerbert
from nerbert.encoder.objectives.zero_shot import ZeroShotSettings
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.training.tagging import TaggingSettings
from nerbert_papers.gazetteers import GazetteersSettings
from tests.raised import raises

HEAVY = ["torch", "transformers", "tokenizers", "numpy", "pyarrow", "lxml", "rich", "cyclopts"]


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json; print('\\nMODULES' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.rpartition("MODULES")[2]))


def test_names_are_sorted_and_there() -> None:
    assert sorted(nerbert.__all__) == nerbert.__all__ == dir(nerbert)
    assert all(getattr(nerbert, name) is not None for name in nerbert.__all__)
    with pytest.raises(
        AttributeError, match=r"'annotate_texts'; it is in nerbert_annotate: pip install nerbert-annotate$"
    ):
        _ = nerbert.annotate_texts


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


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import nerbert", {*HEAVY}),
        ("import nerbert.corpus.build", {"nerbert.render", "jinja2"}),
        (
            "import nerbert.render.corpus, nerbert.corpus.knowledge.knowledge, nerbert.corpus.build",
            {"torch", "transformers", "tokenizers", "safetensors"},
        ),
        (
            "from nerbert.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
            {"torch", "transformers", "pyarrow"},
        ),
        (
            "from nerbert.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
            {"torch", "transformers", "onnxruntime", "numpy", "nerbert.cli.models", "nerbert.cli.tag"},
        ),
    ],
)
def test_little_is_loaded(statement: str, unwanted: set[str]) -> None:
    assert not unwanted & _loaded_by(statement)


@pytest.mark.parametrize(
    ("given", "spins"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_idle_threads_soon_sleep(given: dict[str, str], spins: str) -> None:
    code = "import nerbert, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == spins


SENTENCES = [nerbert.example("In Oslo she met Ada.", [(3, 7, "port"), (16, 19, "person")])]


def finetuned(**keywords: Any) -> Callable[[], object]:
    return lambda: nerbert.finetune("embedded", SENTENCES, **keywords)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (finetuned(max_step=2), "unknown setting 'max_step': did you mean 'max_steps'"),
        (lambda: nerbert.read_data("x", overlaps="longer"), "setting overlaps = 'longer'"),  # type: ignore[arg-type]
        (finetuned(settings={"epochs": 2}), "settings: dict is not a FinetuneSettings; pass one, or keywords"),
        (
            lambda: nerbert.pretrain("x", tagging={"label_smoothing": 1}),
            "setting tagging.label_smoothing = 1: must be a number, at least 0",
        ),
        (
            finetuned(zero_shot=ZeroShotSettings(max_types=3)),
            "zero_shot.max_types: is for objective 'zero_shot', but objective = 'tag",
        ),
        (
            finetuned(
                settings=nerbert.FinetuneSettings(sections=(GazetteersSettings(max_words=3),)),
                tagging={"label_smoothing": 0.1},
            ),
            "setting gazetteers: is for `nerbert pretrain` only",
        ),
    ],
)
def test_wrong_keywords_are_named(act: Callable[[], object], told: str) -> None:
    with raises(SettingsError, words=told):
        act()


def test_a_section_over_settings_is_merged_key_by_key(tmp_path: Path) -> None:
    settings = nerbert.FinetuneSettings(max_steps=1, threads=1, sections=(TaggingSettings(label_smoothing=0.1),))
    nerbert.finetune("embedded", SENTENCES, tmp_path / "t", settings, tagging={"outside_weight": 0.5})
    card = json.loads((tmp_path / "t" / "nerbert.json").read_text())
    assert card["settings"]["tagging"] == {"label_smoothing": 0.1, "outside_weight": 0.5, "joined_layer": 0}


@pytest.mark.parametrize(
    ("text", "entities", "why"),
    [
        ("Oslo", [("0", 4, "port")], "entity ('0', 4, 'port'): write (start, end, type)"),
        ("Oslo", [(0.0, 4.0, "port")], "write"),
        ("Oslo", [(0, 4)], "write"),
        ("Oslo", [(0, 4, None)], "write"),
        ("Oslo", [{"start": 0, "end": 4, "type": "port"}], "write"),
        ("Oslo", [nerbert.Span(0, 4, "port", "Rome")], "Rome"),
        (5, [], "a sentence is a str, not int"),
    ],
)
def test_an_entity_that_is_none_is_one_line(text: Any, entities: Any, why: str) -> None:
    with raises(InputError, words=why):
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
    with raises(InputError, words="is gone, so the tagger can't be saved, pushed or pickled"):
        again.save_pretrained(tmp_path / "kept")
