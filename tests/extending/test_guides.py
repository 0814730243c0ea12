"""The guides are true: their objective, head, protocol and external system run, and are what the commands take."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert.errors import InputError, SettingsError
from nerbert.executors import ONE_CORE
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from nerbert.training.sections import change_settings, load_settings
from nerbert_bench import runner
from nerbert_bench.suite import read_suite
from tests.commands import exit_code
from tests.extending.guides import blocks, module
from tests.raised import raises
from tests.serve.servers import assert_fault, serving
from tests.stages import finetune


def test_the_objective_trains(
    tiny_encoder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module("objective.md", "focal", tmp_path, monkeypatch)
    (tmp_path / "own.toml").write_text('max_steps=4\nprecision="fp32"\nthreads=1\nobjective="focal:Focal"')
    own, zero = (load_settings(FinetuneSettings, tmp_path / "own.toml", more) for more in ([], ["focal.gamma=0"]))
    with raises(SettingsError, setting="focal.gamma"):
        change_settings(own, {"focal": {"gamma": 11}})
    weights = []
    for number, settings in enumerate((own, zero, replace(own, objective="tagging"))):
        (folder,) = finetune(str(tiny_encoder), sample / "domain", tmp_path / str(number), settings, calibrate=False)
        head: Any = Tagger.load(folder, backend="torch").head
        weights.append(head.scorer._model.classifier.weight)
    focal, plain, tagging = weights
    assert not torch.equal(focal, plain)
    assert torch.allclose(plain, tagging, atol=1e-6)


def test_the_head_finds_where_it_is_named_and_a_folders_own_word_is_not_enough(
    tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module("head.md", "names", tmp_path, monkeypatch)
    head, text = "names:NamesKind", "The whaler Ingeborg left Bergen."
    tagger = Tagger.load(tiny_tagger, head=head)
    (span,) = tagger.tag(text)
    assert (span.text, span.type, tagger.types) == ("Ingeborg", "ship", ["ship"])
    with raises(InputError, "its head can't be exported: NamesKind has no `export`"):
        export(tiny_tagger, head=head)
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    card = json.loads((folder / "nerbert.json").read_text())
    (folder / "nerbert.json").write_text(json.dumps(card | {"head": head}))
    for options, code in (((), 1), (("--head", head), 0)):
        assert exit_code("tag", folder, "--text", text, *options) == code
    told = capsys.readouterr()
    assert head in told.err
    assert "Ingeborg" in told.out


def test_a_named_protocol_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module("protocol.md", "mask", tmp_path, monkeypatch)
    with serving(tmp_path / "told", "--protocols", "mask:operations", "tag", cwd=tmp_path) as server:
        client = server.clients[0]
        answer = client.post("/mask", json={"content": "a ship in Port", "kinds": ["ship", "port"]})
        assert answer.json() == {"content": "a <ship> in <port>", "masked": 2}
        assert_fault(client.post("/mask", json={"contents": "a"}), 422, "content is missing")
        assert_fault(client.post("/mask", json={"content": "a"}), 422, "give labels")
        assert_fault(client.post("/mask?model=planes", json={"content": "a", "kinds": ["ship"]}), 400)
        assert server.tag("a ship").status_code == 200
        assert_fault(client.post("/gliner", json={"text": "a", "labels": ["ship"]}), 404)
        paths = client.get("/openapi.json").json()["paths"]
        assert {"/mask", "/tag", "/models"} <= set(paths)
        assert "/gliner" not in paths
        assert paths["/mask"]["post"]["summary"] == "Mask entities"
        server.logged("POST /mask 200")


SYSTEM, TARGET = "external-system.md", '[[targets]]\ndata = "ships"\n'


@pytest.mark.extras
def test_the_script_is_a_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "Resources", lambda **_: ONE_CORE)
    module(SYSTEM, "first_seen", tmp_path, monkeypatch)
    folder = Path("data", "ships")
    folder.mkdir(parents=True)
    (folder / "train.conll").write_text("The\tO\nIngeborg\tB-ship\n\nIngeborg\tB-person\nslept\tO\n\n")
    (folder / "test.conll").write_text("Ingeborg\tB-ship\nslept\tO\n\nIngeborg\tB-person\nsailed\tO\n\n")
    first_seen, spacy = blocks(SYSTEM, "toml")
    Path("s.toml").write_text(f"seeds = [1]\n{first_seen}{TARGET}", encoding="utf-8")
    assert exit_code("benchmark", "s.toml", "--data", "data", "-o", "out", "--workers", 1) == 0
    assert "| ships | all | 50.00<br>" in Path("out", "s.md").read_text(encoding="utf-8")
    Path("both.toml").write_text(f"{first_seen}{spacy}{TARGET}", encoding="utf-8")
    assert [bool(each.version) for each in read_suite(Path("both.toml")).systems.values()] == [False, True, False]
