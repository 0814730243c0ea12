"""What another distribution offers is known by its name, without a line in nerbert: the guides' examples, installed."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nerbert.data.splits import find_splits
from nerbert.formats.format import find_format, read_documents
from tests.commands import python
from tests.extending.guides import blocks, module
from tests.serve.servers import serving

OFFERS = {
    "formats": ("format.md", "offsets", "Offsets"),
    "objectives": ("objective.md", "focal", "Focal"),
    "heads": ("head.md", "capitals", "NamesKind"),
    "protocols": ("protocol.md", "mask", "operations"),
}
"""Group of entry points → the guide whose example it is, its module and name, and the object there."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed a distribution with the guides' examples."""
    folder = tmp_path_factory.mktemp("toys")
    wheel, about = folder / "toys-1.0-py3-none-any.whl", "toys-1.0.dist-info"
    points = "".join(f"[nerbert.{group}]\n{name} = {name}:{entry}\n" for group, (_, name, entry) in OFFERS.items())
    with zipfile.ZipFile(wheel, "w") as archive:
        for guide, name, _ in OFFERS.values():
            archive.writestr(f"{name}.py", blocks(guide, "python")[0])
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/entry_points.txt", points)
        archive.writestr(f"{about}/RECORD", "")
    options = ("--quiet", "--no-index", "--no-deps", "--target", folder / "site")
    subprocess.run([sys.executable, "-m", "pip", "install", *map(str, options), wheel], check=True)
    return folder / "site"


def test_format_objective_head_and_protocol_of_another_distribution(
    site: Path, tiny_encoder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "ships"
    data.mkdir()
    with monkeypatch.context() as here:
        module("format.md", "offsets", tmp_path, here)
        for split, path in find_splits(sample / "domain").items():
            find_format(path, "offsets:Offsets").write(data / f"{split}.offsets", read_documents(path))
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    more = [f"--set={each}" for each in ("objective=focal", "focal.gamma=3", "max_steps=2", "min_steps=0")]
    finetune = ["finetune", tiny_encoder, "--data", data, "-o", tmp_path / "tagger", *more]
    tag = ["tag", tmp_path / "tagger", "--text", "The whaler Ingeborg left Bergen.", "--head", "capitals", "--to=jsonl"]
    for command in (finetune, tag):
        done = subprocess.run([python(), "-m", "nerbert", *map(str, command)], stdout=subprocess.PIPE, check=True)
    card = json.loads((tmp_path / "tagger" / "nerbert.json").read_text())
    assert (card["settings"]["objective"], card["settings"]["focal"]["gamma"]) == ("focal", 3)
    assert set(card["data"]["sha256"]) == {"train.offsets", "dev.offsets"}
    assert [each["text"] for each in json.loads(done.stdout.splitlines()[-1])["spans"]] == ["Ingeborg"]
    with serving(tmp_path / "told", cwd=site) as server:
        answer = server.clients[0].post("/mask", json={"content": "a ship in Port", "kinds": ["ship", "port"]})
        assert answer.json() == {"content": "a <ship> in <port>", "masked": 2}
        assert server.tag("a ship").status_code == 200
