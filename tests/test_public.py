"""What `import nerbert` shows, and what it must not load."""

import json
import subprocess
import sys

import pytest

import nerbert

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


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "module"), [("finetune", "nerbert.finetuning.finetune"), ("Tagger", "nerbert.tagger.tagger")]
)
def test_science_loads_little_and_no_presentation(name: str, module: str) -> None:
    loaded = _loaded_by(f"import nerbert; nerbert.{name}; import {module}")
    ours = {each for each in loaded if each.split(".")[0] == "nerbert"}
    assert {"nerbert", module} <= ours
    assert len(ours) <= 45
    corpus = {each for each in ours if each.startswith("nerbert.corpus")}
    assert corpus <= {"nerbert.corpus", "nerbert.sentences"}
    assert not [each for each in loaded if each.startswith(("nerbert.render", "jinja2", "markupsafe"))]


@pytest.mark.integration
def test_import_loads_nothing_heavy() -> None:
    assert not set(HEAVY) & _loaded_by("import nerbert")


@pytest.mark.integration
def test_the_core_runs_without_torch() -> None:
    blocked = "torch", "transformers", "accelerate", "tokenizers", "safetensors"
    block = "".join(f"sys.modules[{name!r}] = None; " for name in blocked)
    loaded = _loaded_by(f"import sys; {block}import {', '.join(TORCH_FREE)}")
    assert set(TORCH_FREE) <= loaded


@pytest.mark.integration
def test_building_a_corpus_loads_no_page_and_no_card() -> None:
    assert not {"nerbert.render", "jinja2"} & _loaded_by("import nerbert.corpus.build")


@pytest.mark.integration
def test_help_loads_no_torch() -> None:
    code = "from nerbert.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not {"torch", "transformers", "pyarrow", "nltk"} & _loaded_by_output(code)


def _loaded_by_output(code: str) -> set[str]:
    code += "\nimport sys, json; print('\\nMODULES' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.rpartition("MODULES")[2]))


@pytest.mark.integration
@pytest.mark.parametrize("command", [["pretrain", "x.toml", "-o", "x"], ["finetune", "x", "--data", "x", "-o", "x"],
                                     ["tag", "x"], ["export", "x"],
                                     ["quickstart"]])  # fmt: skip
def test_without_torch_the_extra_is_named(command: list[str]) -> None:
    block = "sys.modules['torch'] = sys.modules['onnxruntime'] = None"
    code = f"import sys; {block}; from nerbert.cli import main; main({command})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "nerbert: torch not installed: pip install 'nerbert[train]'\n"
