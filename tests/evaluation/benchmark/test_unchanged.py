"""What changes between plan and use is told, whatever hides it."""

import os
from pathlib import Path

import pytest

from nerbert.errors import NerbertError
from nerbert.evaluation.benchmark.cells import Machine
from nerbert.evaluation.benchmark.job import Job
from nerbert.evaluation.benchmark.plan import make_plan
from nerbert.evaluation.benchmark.suite import Suite, SystemSettings, Target
from nerbert.evaluation.benchmark.system import CellTask
from nerbert.finetuning.settings import FinetuneSettings

CPU = Machine("cpu", "fp32")
ROWS = "The\tO\nMargarethe\tB-ship\nsailed\tO\n\n"


@pytest.fixture
def desk(tmp_path: Path, encoders: Path) -> Path:
    for name in ("one", "far"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / "data" / name / f"{split}.conll").write_text(f"{ROWS}{name}\tO\n{split}\tO\n")
    return encoders


@pytest.fixture
def suite(desk: Path) -> Suite:
    encoder = str(desk / "a")
    systems = {
        "A": SystemSettings(encoder=encoder),
        "A, source & target": SystemSettings(encoder=encoder, source="far"),
    }
    protocols = {"last": FinetuneSettings(), "dev": FinetuneSettings(select="dev")}
    return Suite(name="s", title="S", systems=systems, targets=(Target(data="one"),), seeds=(1,), protocols=protocols)


def tasks(suite: Suite, desk: Path) -> dict[tuple[str, str], Job]:
    """Jobs by system and protocol."""
    jobs = [each for each in make_plan(suite, desk / "data", CPU) if isinstance(each, Job)]
    return {(each.place.system, each.place.protocol): each for each in jobs}


@pytest.mark.parametrize(
    ("path", "touches"),
    [
        ("data/one/train.conll", ["A last", "A dev", "A, source & target last"]),
        ("data/one/test.conll", ["A last", "A dev", "A, source & target last"]),
        ("data/one/dev.conll", ["A last", "A dev", "A, source & target last"]),
        ("data/far/train.conll", ["source"]),
        ("data/far/test.conll", []),
        ("a/model.safetensors", ["A last", "A dev", "A, source & target last", "source"]),
        ("b/config.json", []),
    ],
)
@pytest.mark.parametrize("how", ["changed", "same size and date", "gone", "a folder"])
def test_what_changed_since_the_plan(suite: Suite, desk: Path, path: str, touches: list[str], how: str) -> None:
    jobs = tasks(suite, desk)
    named: dict[str, CellTask] = {
        f"{system} {protocol}": jobs[system, protocol]
        for system, protocol in (("A", "last"), ("A", "dev"), ("A, source & target", "last"))
    }
    source = jobs["A, source & target", "last"].system.source
    assert source is not None
    named["source"] = source
    for task in named.values():
        task.check_unchanged()
    change(desk / path, how)
    for name, task in named.items():
        if name in touches:
            with pytest.raises(NerbertError, match="changed while the benchmark ran; run it again"):
                task.check_unchanged()
        else:
            task.check_unchanged()


def change(path: Path, how: str) -> None:
    state, content = path.stat(), path.read_bytes()
    if how == "changed":
        path.write_bytes(content + b"\n")
    elif how == "same size and date":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    else:
        path.unlink()
        if how == "a folder":
            path.mkdir()


def test_a_file_that_came_since_the_plan(suite: Suite, desk: Path) -> None:
    (desk / "data" / "one" / "dev.conll").unlink()
    (desk / "data" / "far" / "train.conll").unlink()
    jobs = tasks(suite, desk)
    job, source = jobs["A", "dev"], jobs["A, source & target", "last"].system.source
    assert source is not None
    for task in (job, source):
        task.check_unchanged()
    (desk / "data" / "one" / "dev.conll").write_text(ROWS)
    (desk / "data" / "far" / "train.conll").write_text(ROWS)
    for task in (job, source):
        with pytest.raises(NerbertError, match=r"(dev|train)\.conll: changed"):
            task.check_unchanged()


def test_a_split_that_came_under_another_name_since_the_plan(suite: Suite, desk: Path) -> None:
    (desk / "data" / "one" / "dev.conll").unlink()
    job = tasks(suite, desk)["A", "dev"]
    (desk / "data" / "one" / "valid.conll").write_text(ROWS)
    with pytest.raises(NerbertError, match="one: changed while the benchmark ran"):
        job.check_unchanged()
