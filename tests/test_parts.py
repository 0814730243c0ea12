"""A job that several runs divide: each command's parts, then one that merges, to the bytes of one run."""

import os
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import nerbert
from nerbert.artifacts import check_free_file
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, StaleOutput
from nerbert.locks import held
from nerbert.parts import WHOLE, Share, shared_job, whole_job
from tests.commands import exit_code
from tests.corpus.test_build import digests

Caught = pytest.CaptureFixture[str]


def do_part(target: Path, part: str, made: Any = "it", **options: Any) -> None:
    with shared_job(target, made, Share.parse(part), **options) as work:
        (work / part.replace("/", "-")).write_text("done")


def test_shares_of_a_job_are_disjoint_and_all() -> None:
    shares = [list(Share(number, 3).of_items(range(10))) for number in (1, 2, 3)]
    assert shares == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert list(WHOLE.of_items(range(3))) == [0, 1, 2]
    assert Share.parse("3/8") == Share(3, 8)
    assert Share.parse("", merge=True).merge
    assert Share.parse("1/1").partial
    assert list(Share.parse("1/1").of_items(range(3))) == [0, 1, 2]


@pytest.mark.parametrize("part", ["3", "0/8", "9/8", "1/0", "x/y", "1/2/3", "-1/2", "٣/٨", "1/9999999"])
def test_a_part_must_be_one_of_several(part: str) -> None:
    with pytest.raises(SettingsError, match="must be 1/8, 2/8, … or 8/8"):
        Share.parse(part)
    with pytest.raises(SettingsError, match="leave one out"):
        Share.parse("1/2", merge=True)


def test_missing_parts_are_named(tmp_path: Path, capsys: Caught) -> None:
    target, merge = tmp_path / "out", Share(merge=True)
    with pytest.raises(InputError, match="no part of it is done"):
        whole_job(target, "it", merge)
    do_part(target, "2/4")
    assert "part 2/4 is done; not done yet: 1/4, 3/4, 4/4" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"not done: part 1/4, 3/4, 4/4; run"):
        whole_job(target, "it", merge)
    for part in ("1/4", "4/4", "3/4"):
        do_part(target, part)
    assert "part 3/4 is done; all are: --merge makes it" in capsys.readouterr().err
    with whole_job(target, "it", merge) as draft:
        assert {path.name for path in draft.work.glob("?-4")} == {"1-4", "2-4", "3-4", "4-4"}
    assert target.is_dir()
    assert not draft.work.exists()


def test_a_part_that_is_done_twice_is_told(tmp_path: Path, capsys: Caught) -> None:
    for _ in range(2):
        do_part(tmp_path / "out", "1/2")
    assert capsys.readouterr().err.count("part 1/2 was done before; what is missing of it is done now") == 1


def test_a_part_that_failed_is_missing(tmp_path: Path) -> None:
    do_part(tmp_path / "out", "1/2")
    with pytest.raises(NerbertError, match="no"), shared_job(tmp_path / "out", "it", Share(2, 2)):
        raise NerbertError("no")
    with pytest.raises(InputError, match="not done: part 2/2"):
        whole_job(tmp_path / "out", "it", Share(merge=True))


def test_parts_fit_each_other_and_the_run_that_merges(tmp_path: Path) -> None:
    do_part(tmp_path / "out", "1/2", {"seed": 1})
    with pytest.raises(StaleOutput, match=r"seed: 1 then, 2 now\); run as before, or delete \S+\.out\.work to start"):
        do_part(tmp_path / "out", "2/2", {"seed": 2}, overwrite=True)
    with pytest.raises(InputError, match="part 1/3 doesn't fit earlier ones, which are of 2"):
        do_part(tmp_path / "out", "1/3", {"seed": 1})
    do_part(tmp_path / "out", "2/2", {"seed": 1})
    with pytest.raises(StaleOutput, match="seed: 1 then, 3 now"):
        whole_job(tmp_path / "out", {"seed": 3}, Share(merge=True), overwrite=True)


def test_parts_go_on_beside_each_other_and_not_beside_a_whole_run(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with shared_job(target, "it", Share(1, 2)):
        do_part(target, "2/2")
        with pytest.raises(OutputExists, match="another run is doing part 1/2 now"):
            do_part(target, "1/2")
        with pytest.raises(OutputExists, match="another run is making it"), whole_job(target, "it", WHOLE):
            pass
    with (
        held(tmp_path / ".out.work" / "lock", ""),
        pytest.raises(OutputExists, match="another run is merging its parts"),
    ):
        do_part(target, "1/2")


def test_an_output_that_exists_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputExists, match="exists already"):
        do_part(tmp_path / "out", "1/2", file=True)
    do_part(tmp_path / "out", "1/2", file=True, overwrite=True)
    do_part(tmp_path / "out", "2/2", file=True, overwrite=True)
    with pytest.raises(OutputExists, match="exists already"):  # and the parts stay
        check_free_file(tmp_path / "out", overwrite=False)
    with whole_job(tmp_path / "out", "it", Share(merge=True), overwrite=True, file=True) as draft:
        assert (draft.work / "1-2").exists()
        draft.path.write_text("merged")
    assert (tmp_path / "out").read_text() == "merged"
    assert not draft.work.exists()


def test_a_part_that_failed_before_its_work_leaves_nothing_to_refuse(tmp_path: Path) -> None:
    with pytest.raises(NerbertError, match="no"), shared_job(tmp_path / "out", "it", Share(1, 2)):
        raise NerbertError("no")
    with whole_job(tmp_path / "out", "other", WHOLE):
        pass
    assert (tmp_path / "out").is_dir()


def test_a_corpus_of_parts_is_the_same(sample_corpus: Path, sample: Path, tmp_path: Path, capsys: Caught) -> None:
    build = ("corpus", "build", sample / "wiki.xml", "--knowledge", sample / "knowledge", "-o", tmp_path / "out")
    whole, small = tmp_path / "whole", ("--set", "min_mentions=5", "--set", "split_bytes=20000")
    assert exit_code(*build[:-1], whole, *small) == 0
    for part in ("2/3", "1/3", "2/3"):
        assert exit_code(*build, *small, "--part", part) == 0
    assert not (tmp_path / "out").exists()
    assert exit_code(*build, *small, "--merge") == 1
    assert "not done: part 3/3" in capsys.readouterr().err
    assert exit_code(*build, "--set", "split_bytes=8000", "--part", "3/3") == 1
    assert "split_bytes: 20000 then, 8000 now" in capsys.readouterr().err
    assert exit_code(*build, *small, "--part", "3/3", "--workers", 2) == 0
    done = {path: path.stat().st_ino for path in tmp_path.glob(".out.work/pages/*")}
    assert len(done) > 4
    assert exit_code(*build, *small, "--merge") == 0
    assert digests(tmp_path / "out") == digests(whole)


def test_a_corpus_from_a_pipe_cannot_be_divided(sample: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = Thread(target=pipe.write_bytes, args=((sample / "wiki.xml").read_bytes()[:50_000],), daemon=True)
    thread.start()
    with pytest.raises(InputError, match="can't be divided among runs"):
        nerbert.build_corpus(pipe, sample / "knowledge", tmp_path / "out", part="1/2")
    assert not list(tmp_path.glob(".out.work/part-*.json"))
