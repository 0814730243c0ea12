"""Whole model folders of which one file is hostile, each loaded in a process that may crash."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.children import in_child
from tests.fuzz.conftest import Fuzz
from tests.fuzz.model_cases import Folders, HostileFile, hostile_json, tag
from tests.fuzz.mutator import mutated

pytestmark = [pytest.mark.fuzz, pytest.mark.integration]
TORCH = ("linear", "joined", "names", "words", "gliner", "two", "gliner2", "boundary", "cdlm")
ONNX = ("linear-onnx", "names-onnx", "gliner-onnx", "gliner2-onnx")


Check = Callable[[HostileFile], str]
"""Loads and uses a folder in a process of its own; returns what happened."""


@pytest.fixture(scope="module")
def check(model_folders: Folders, cache: Path) -> Check:
    """What loads a folder; each was loaded once before, so that its processes have what they import."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in (*TORCH, *ONNX):
        content = model_folders.content(name, "tokenizer.json")
        with model_folders.with_file(HostileFile(name, "tokenizer.json", content)) as folder:
            assert tag(folder, backend_of(name)) == "tagged"

    def run(case: HostileFile) -> str:
        with model_folders.with_file(case) as folder:
            return in_child(lambda: tag(folder, backend_of(case.folder)), reads=[folder], writes=[cache])

    return run


def backend_of(name: str) -> str:
    return "onnx" if name in ONNX else "torch"


def test_settings(model_folders: Folders, check: Check, fuzz: Fuzz) -> None:
    files = model_folders.files("*.json", TORCH, without=("tokenizer.json", "tokenizer_config.json", "check.json"))
    fuzz(model_folders.cases(files, hostile_json), check, share=0.5)


def test_tokenizers(model_folders: Folders, check: Check, fuzz: Fuzz) -> None:
    files = model_folders.files("tokenizer*.json", ("linear", "gliner", "cdlm", "words"))
    fuzz(model_folders.cases(files, hostile_json), check, share=0.5)


def test_settings_of_graphs(model_folders: Folders, check: Check, fuzz: Fuzz) -> None:
    files = model_folders.files("onnx/*.json", ONNX)
    fuzz(model_folders.cases(files, hostile_json), check, share=0.5)


def test_graphs(model_folders: Folders, check: Check, fuzz: Fuzz) -> None:
    files = model_folders.files("onnx/*.onnx", ONNX)
    words = [b"location", b"input_ids", b"logits", b"\x08", b"\x12\x01", b"\x7a\x00", b"MatMul", b"Loop", b"If", b"Scan"]
    fuzz(model_folders.cases(files, lambda content: mutated([content], words)),
         check, share=0.5)  # fmt: skip
