"""Whole model folders of which one file is hostile, each loaded in a process that may crash."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.fuzz.children import each_in_child
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_values import dumped
from tests.fuzz.model_cases import HostileFile, HostileFolders, hostile_json, hostile_weights, tag
from tests.fuzz.mutator import mutated

pytestmark = pytest.mark.fuzz
TORCH = ("linear", "joined", "names", "words", "gliner", "two", "gliner2", "boundary", "cdlm")
ONNX = ("linear-onnx", "names-onnx", "gliner-onnx", "gliner2-onnx")


Check = Callable[..., None]
"""Loads and uses folders in processes of their own: `check(cases, found=(), share=1)`."""


@pytest.fixture(scope="module")
def warm(model_folders: HostileFolders) -> Iterator[None]:
    """Load each folder once, so that children have what they import; there is no hub for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        patch.setattr("nerbert.model.download._refusal", lambda *_, **__: OSError("no network"))
        for name in (*TORCH, *ONNX):
            content = model_folders.content(name, "tokenizer.json")
            with model_folders.with_file(HostileFile(name, "tokenizer.json", content)) as folder:
                assert tag(folder, backend_of(name)) == "tagged"
        yield


@pytest.fixture
def check(warm: None, model_folders: HostileFolders, fuzz: Fuzz, cache: Path) -> Check:
    """What makes cases and runs them."""

    def load(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            tag(folder, backend_of(case.folder))

    def run(cases: st.SearchStrategy[HostileFile], *, found: Sequence[HostileFile] = (), share: float = 1) -> None:
        gathered = list[HostileFile]()
        fuzz(cases, gathered.append, found=found, share=share)
        each_in_child(gathered, load, reads=[model_folders.root], writes=[model_folders.root, cache])

    return run


def backend_of(name: str) -> str:
    return "onnx" if name in ONNX else "torch"


def cases_settings(folders: HostileFolders) -> st.SearchStrategy[HostileFile]:
    """Return a strategy for cards and configurations."""
    files = folders.files("*.json", TORCH, without=("tokenizer.json", "tokenizer_config.json", "check.json"))
    return folders.cases(files, hostile_json)


def cases_tokenizers(folders: HostileFolders) -> st.SearchStrategy[HostileFile]:
    """Return a strategy for tokenizers."""
    return folders.cases(folders.files("tokenizer*.json", ("linear", "gliner", "cdlm", "words")), hostile_json)


def cases_exports(folders: HostileFolders) -> st.SearchStrategy[HostileFile]:
    """Return a strategy for what lies beside an exported graph."""
    return folders.cases(folders.files("onnx/*.json", ONNX), hostile_json)


def cases_graphs(folders: HostileFolders) -> st.SearchStrategy[HostileFile]:
    """Return a strategy for exported graphs."""
    words = [
        b"location",
        b"input_ids",
        b"logits",
        b"\x08",
        b"\x12\x01",
        b"\x7a\x00",
        b"MatMul",
        b"Loop",
        b"If",
        b"Scan",
    ]
    return folders.cases(folders.files("onnx/*.onnx", ONNX), lambda content: mutated([content], words))


def cases_weights(folders: HostileFolders) -> st.SearchStrategy[HostileFile]:
    """Return a strategy for files of weights whose headers lie."""
    return folders.cases(folders.files("*.safetensors", TORCH), hostile_weights)


_LENGTHS: tuple[Any, ...] = ("x", [], None, float("nan"), float("inf"), True)
_UNKNOWN = dumped({"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "x"}})
FOUND = (
    *(HostileFile(name, "tokenizer_config.json", dumped({"model_max_length": length}))
      for name in ("linear", "words", "gliner") for length in _LENGTHS),
    *(HostileFile(name, "tokenizer.json", _UNKNOWN) for name in ("linear", "gliner", "gliner2", "names", "cdlm")),
    *(HostileFile(name, "onnx/tokenizer.json", _UNKNOWN) for name in ("names-onnx", "gliner-onnx")),
)  # fmt: skip
"""Tokenizers that raised what no one expects: lengths that are no numbers, and a missing piece for unknown words."""


def test_what_was_found(model_folders: HostileFolders, check: Check) -> None:
    check(st.sampled_from(FOUND), found=FOUND, share=0)


@pytest.mark.parametrize("cases", [cases_settings, cases_tokenizers, cases_exports, cases_graphs, cases_weights])
def test_a_folder(
    cases: Callable[[HostileFolders], st.SearchStrategy[HostileFile]], model_folders: HostileFolders, check: Check
) -> None:
    check(cases(model_folders), share=0.5)
