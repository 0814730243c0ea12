"""A cell reads the files that its key holds, and no other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nerbert.config import make_settings
from nerbert.errors import InputError, NerbertError, SettingsError, StaleOutput
from nerbert.evaluation.benchmark.cells import CellSentences
from nerbert.evaluation.benchmark.inputs import Job, Machine, read_part, read_source
from nerbert.evaluation.benchmark.plan import make_plan
from nerbert.evaluation.benchmark.suite import Suite, System, Target
from nerbert.finetuning.settings import FinetuneSettings

BROKEN = "The\tO\nMargarethe\n"
Plan = Callable[..., Job]


@pytest.fixture
def planned(data: Path, tiny_encoder: Path) -> Plan:
    def plan(size: str = "all", select: str = "last", target: str = "ships", source: str = "") -> Job:
        suite = Suite(
            name="s", title="S", systems={"A": System(encoder=str(tiny_encoder), source=source)},
            targets=(Target(data=target, sizes=(size,)),), seeds=(1,),
            protocols={"p": make_settings(FinetuneSettings, {"select": select})},
        )  # fmt: skip
        (job,) = make_plan(suite, data, Machine("cpu", "fp32"))
        assert isinstance(job, Job), job.why
        return job

    return plan


def counts(reading: CellSentences) -> tuple[int, int, int]:
    return len(reading.train), len(reading.test), len(reading.dev)


def test_what_a_cell_does_not_use_may_be_broken_or_gone(planned: Plan, data: Path) -> None:
    (data / "ships" / "dev.conll").write_text(BROKEN)
    found = read_part(planned(), data)
    assert (counts(found), found.duplicates) == ((12, 3, 0), (2,))
    assert counts(read_part(planned("5"), data)) == (5, 3, 0)
    rows = (f"Holm{number}\tB-person\nsees\tO\nIngeborg{number}\tB-ship\n\n" for number in range(8))
    (data / "ships" / "test.conll").write_text("".join(rows))
    for train in (BROKEN, None):
        path = data / "ships" / "train.conll"
        path.write_text(train) if train else path.unlink()
        episode = read_part(planned("2 way 1 shot"), data)
        assert episode.duplicates == ()
        assert episode.train
        assert episode.test


def test_dev_is_read_where_the_protocol_chooses_by_it(planned: Plan, data: Path) -> None:
    assert counts(read_part(planned(select="dev"), data)) == (12, 3, 3)


@pytest.mark.parametrize(
    ("broken", "select", "kind", "told"),
    [
        ({"train": BROKEN}, "last", InputError, r"^train\.conll:2: "),
        ({"test": BROKEN}, "last", InputError, r"^test\.conll:2: "),
        ({"dev": BROKEN}, "dev", InputError, r"^dev\.conll:2: "),
        ({"train": None}, "last", InputError, r"^holds no train\.conll"),
        ({"test": None}, "last", InputError, r"^holds no test split, so nothing can be scored"),
        ({"dev": None}, "dev", SettingsError, r"^setting select = 'dev': there is no dev split"),
    ],
)
def test_failures_for_good_name_no_folder(
    planned: Plan, data: Path, broken: dict[str, str | None], select: str, kind: type[NerbertError], told: str
) -> None:
    for split, text in broken.items():
        path = data / "ships" / f"{split}.conll"
        path.write_text(text) if text else path.unlink()
    with pytest.raises(kind, match=told) as raised:
        read_part(planned(select=select), data)
    assert "ships" not in str(raised.value)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("text", ["Oslo\tB-place\n", BROKEN, None])
def test_files_that_changed_since_the_plan_are_no_failure_for_good(
    planned: Plan, data: Path, split: str, text: str | None
) -> None:
    job, path = planned(select="dev"), data / "ships" / f"{split}.conll"
    path.write_text(text) if text else path.unlink()
    with pytest.raises(StaleOutput, match=rf"{split}\.conll: changed while the benchmark ran"):
        read_part(job, data)


def test_a_link_out_that_came_since_the_plan_is_not_followed(planned: Plan, data: Path, tmp_path: Path) -> None:
    job, path = planned(), data / "ships" / "train.conll"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StaleOutput, match="leads out of"):
        read_part(job, data)


def test_a_sources_sentences(planned: Plan, data: Path) -> None:
    source = planned(source="far").source
    assert source is not None
    assert len(read_source(source)) == 6
    (data / "far" / "train.conll").write_text(BROKEN)
    with pytest.raises(StaleOutput, match="changed while"):
        read_source(source)
    source = planned(source="far").source
    assert source is not None
    with pytest.raises(InputError, match=r"^train\.conll:2: "):
        read_source(source)
