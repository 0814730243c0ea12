"""Command lines: what is wrong with one is one line with exit code 2; help and completion are printed."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nerbert
from nerbert.errors import NerbertError
from nerbert_annotate import AnnotateSettings, annotate_texts
from tests.commands import exit_code

Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("redact", "TAGGER is missing (see nerbert redact --help)"),
        ("evaluate tagger", "FILE is missing (see nerbert evaluate --help)"),
        ("data check", "NAME is missing (see nerbert data check --help)"),
        ("pretrain config.toml", "--output is missing (see nerbert pretrain --help)"),
        ("tag tagger -o", "--output needs a value (see nerbert tag --help)"),
        ("tga", "no command 'tga': did you mean 'tag'? (must be one of "),
        ("data chek", "no command 'chek': did you mean 'check'? (must be one of list, convert, sample, check, fetch) "),
        ("evaluate tagger file third", "Unused Tokens: ['third'] (see nerbert evaluate --help)"),
        ("tag tagger --threads viele", 'unable to convert "viele" into int (see nerbert tag --help)'),
        ("tag tagger - --lables x", "Unknown option: --lables. Did you mean --labels? (see nerbert tag --help)"),
        ("redact tagger --lables x -o y", "--lables. Did you mean --labels? (see nerbert redact --help)"),
        ("annotate x -o y --endpoint z --model m --dry-run", "Unknown option: --dry-run (see nerbert annotate --help)"),
        ("completion dash", "(see nerbert completion --help)"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: str, said: str, capsys: Output) -> None:
    assert exit_code(*arguments.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("nerbert: ")
    assert told.count("\n") == 1
    assert said in told
    assert "--tagger" not in told


def test_an_output_at_an_address_is_one_line(capsys: Output) -> None:
    for command in ("corpus build d.xml --knowledge k", "tag t x.txt", "benchmark s.toml --data d"):
        assert exit_code(*command.split(), "-o", "ftp://me:secret@host/x") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("nerbert: ftp://host/x: outputs can't be at addresses; name a local path")
    assert not list(Path().glob("ftp:*"))


def test_ctrl_c_during_the_imports_is_no_traceback() -> None:
    code = """if True:
        import sys
        from nerbert.__main__ import run

        class Stop:
            def find_spec(self, name, *_):
                raise KeyboardInterrupt

        sys.meta_path.insert(0, Stop())
        run()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "nerbert: stopped\n")


def test_what_is_typed_is_not_echoed_whole(capsys: Output) -> None:
    assert exit_code("tag", "tagger", "--threads", "\x1b[31m" + "x" * 100_000) == 2
    told = capsys.readouterr().err
    assert "\\x1b[31mxxx" in told
    assert len(told) < 1100


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str, capsys: Output) -> None:
    assert exit_code("completion", shell) == 0
    script = capsys.readouterr().out
    assert "finetune" in script
    assert "convert" in script
    assert "min-confidence" in script


LONG = "Ada Lovelace came to London. " * 10


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a little annotated file, and no library of models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nerbert.errors.need", lambda *_: None)
    (tmp_path / "d.conll").write_text("Ada\tB-per\n\n")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "tag tagger LONG",
        "tag LONG d.conll",
        "tag tagger d.conll -o LONG.jsonl",
        "tag tagger d.conll --to brat -o LONG",
        "annotate LONG -o out.jsonl --endpoint http://localhost:1 --model m",
        "annotate d.conll -o LONG --endpoint http://localhost:1 --model m",
        "distil tagger LONG -o out",
        "distil LONG d.conll -o out",
        "evaluate tagger LONG",
        "evaluate LONG d.conll",
        "calibrate LONG d.conll",
        "calibrate tagger LONG",
        "check LONG",
        "export LONG",
        "data list --data LONG",
        "data check LONG",
        "data check x --data LONG",
        "data convert LONG out.jsonl",
        "data convert d.conll LONG.jsonl",
        "data convert d.conll LONG --to brat",
        "data sample LONG --size 1 -o out",
        "corpus show LONG",
        "corpus export LONG -o x",
        "corpus build LONG --knowledge d.conll -o out",
        "corpus build d.conll --knowledge LONG -o out",
        "finetune LONG --data d.conll -o out",
        "finetune embedded --data LONG -o out",
        "finetune embedded --data d.conll -o LONG",
        "finetune embedded --data d.conll -o out --config LONG",
        "pretrain LONG -o out",
        "pretrain configs/small.toml -o LONG --set corpus=LONG",
        "benchmark LONG --data . -o out",
        "knowledge gazetteer d.conll --label-set LONG -o out",
    ],
)
def test_every_command_refuses_a_long_name(desk: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert exit_code(*(word.replace("LONG", LONG) for word in command.split())) == 1
    told = capsys.readouterr().err
    assert told.startswith("nerbert: ")
    assert told.count("\n") == 1
    assert [each.name for each in desk.iterdir()] == ["d.conll"]


@pytest.mark.parametrize("name", [LONG, "d\0.conll"])
@pytest.mark.parametrize(
    "call",
    [
        nerbert.read_data,
        lambda name: nerbert.build_corpus(name, "d.conll", "out"),
        lambda name: nerbert.build_corpus("d.conll", name, "out"),
        lambda name: nerbert.pretrain(name, corpus=name),
        lambda name: nerbert.pretrain_stages("out", name),
        lambda name: nerbert.finetune("embedded", name),
        lambda name: nerbert.finetune(name, "d.conll"),
        lambda name: nerbert.finetune("embedded", "d.conll", name),
        lambda name: nerbert.distil(name, "d.conll", "out"),
        lambda name: nerbert.distil("embedded-open", name, "out"),
        lambda name: nerbert.evaluate("embedded-open", name),
        lambda name: nerbert.evaluate(name, "d.conll"),
        lambda name: annotate_texts([name], "out", AnnotateSettings(endpoint="http://localhost:1", model="m")),
        nerbert.Tagger.load,
        nerbert.Tagger.from_pretrained,
    ],
)
def test_functions_refuse_names_that_no_path_can_have(desk: Path, call: Callable[[str], object], name: str) -> None:
    with pytest.raises(NerbertError) as raised:
        call(name)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) <= 1000
    assert [each.name for each in desk.iterdir()] == ["d.conll"]
