"""A step's code version is the bytes of what it runs, and an encoder's digest those of what is loaded."""

from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.evaluation.benchmark.hashes import TALKERS, code_files, code_version, encoder_digest, key_of, local_encoder
from nerbert.evaluation.benchmark.plan import NO_FIGURES

TREE = {
    "__init__": "",
    "step": "from toy.far import deep\nimport os, json\nfrom typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from toy import types_only\nelse:\n    import toy.at_run_time\n\n"
    "def run():\n    from . import inside\n    import toy.talk\n",
    "far/__init__": "from toy.far.deep import thing\n",
    "far/deep": "from ..cycle import x\n",
    "far/alone": "",
    "cycle": "import toy.far.deep\n",
    "inside": "",
    "at_run_time": "",
    "types_only": "",
    "talk": "import toy.only_talk_needs_this\n",
    "only_talk_needs_this": "",
    "unrelated": "import toy.step\n",
}
NEEDED = ["toy", "toy.at_run_time", "toy.cycle", "toy.far", "toy.far.deep", "toy.inside", "toy.step"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "toy"
    for name, text in TREE.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_what_a_step_imports_is_found(tree: Path) -> None:
    assert list(code_files(["toy.step"], {"toy.talk"}, tree)) == NEEDED


def test_a_changed_byte_counts_where_it_is_run(tree: Path) -> None:
    def version() -> str:
        return code_version(code_files(["toy.step"], {"toy.talk"}, tree))

    before = version()
    assert version() == before
    for name in TREE:
        path = tree / f"{name}.py"
        path.write_bytes(path.read_bytes() + b"#")
        module = "toy" if name == "__init__" else f"toy.{name.removesuffix('/__init__').replace('/', '.')}"
        assert (version() != before) == (module in NEEDED), name
        path.write_bytes(path.read_bytes()[:-1])
        assert version() == before


def test_leaving_out_a_package_leaves_out_what_is_in_it(tree: Path) -> None:
    assert list(code_files(["toy.step"], {"toy", "toy.far", "toy.talk"}, tree)) == [
        "toy.at_run_time", "toy.inside", "toy.step",
    ]  # fmt: skip


def test_training_does_not_hang_on_scores_nor_on_the_runner() -> None:
    trained = set(code_files(["nerbert.evaluation.benchmark.tagging"], TALKERS | NO_FIGURES))
    assert {
        "nerbert.training.loop",
        "nerbert.finetuning.finetune",
        "nerbert.tagger.tagger",
        "nerbert.labels",
    } <= trained
    others = {"store", "plan", "task", "runner", "scoring", "table", "suite"}
    assert trained.isdisjoint({f"nerbert.evaluation.benchmark.{name}" for name in others})
    assert not [name for name in trained if name.startswith(("nerbert.metrics", "nerbert.cli", "nerbert.errors"))]
    scored = set(code_files(["nerbert.evaluation.benchmark.scoring"]))
    assert "nerbert.metrics.judging" in scored
    assert "nerbert.training.loop" not in scored


def test_keys_tell_every_fact_apart() -> None:
    keys = {key_of("a"), key_of("b"), key_of("a", x=1), key_of("a", x=2), key_of("a", x="1"), key_of("a", y=1)}
    assert len(keys) == 6
    assert key_of("a", x=1, y={"p": 1, "q": 2}) == key_of("a", y={"q": 2, "p": 1}, x=1)


def test_an_encoder_is_what_is_loaded_of_it(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (tmp_path / name).write_text(name)
    before = encoder_digest(tmp_path)
    (tmp_path / "README.md").write_text("words")
    (tmp_path / ".cache.json").write_text("words")
    (tmp_path / "1_Pooling").mkdir()
    assert encoder_digest(tmp_path) == before
    (tmp_path / "vocab.txt").rename(tmp_path / "vocabulary.txt")
    assert encoder_digest(tmp_path) != before
    (tmp_path / "vocabulary.txt").rename(tmp_path / "vocab.txt")
    assert encoder_digest(tmp_path) == before
    (tmp_path / "model.safetensors").write_text("model.safetensorS!")
    assert encoder_digest(tmp_path) != before


def test_an_encoder_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such folder"):
        local_encoder(str(tmp_path / "none"))
    with pytest.raises(InputError, match="no model folder"):
        local_encoder(str(tmp_path))

    def refuse(*_: object, **__: object) -> str:
        raise ConnectionError("no way\nto the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(InputError, match=r"some/model: no folder of that name, .* from the hub: no way$"):
        local_encoder("some/model")


def test_a_model_of_the_hub_is_its_local_copy(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, "*.safetensors" in allow_patterns, "*.bin" in allow_patterns))
        return str(tiny_encoder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert local_encoder("some/model") == tiny_encoder
    assert asked == [("some/model", True, False)]
