"""Command lines: what is wrong with one is one line with exit code 2; help and completion are printed."""

import pytest

from tests.commands import exit_code

Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("tag", "TAGGER is missing (see nerbert tag --help)"),
        ("evaluate tagger", "FILE is missing (see nerbert evaluate --help)"),
        ("data check", "NAME is missing (see nerbert data check --help)"),
        ("pretrain config.toml", "--output is missing (see nerbert pretrain --help)"),
        ("tag tagger -o", "--output needs a value (see nerbert tag --help)"),
        ("tga", "no command 'tga': did you mean 'tag'? (must be one of "),
        ("data chek", "no command 'chek': did you mean 'check'? (must be one of list, check, convert, sample, fetch) "),
        ("evaluate tagger file third", "Unused Tokens: ['third'] (see nerbert evaluate --help)"),
        ("tag tagger --threads viele", 'unable to convert "viele" into int (see nerbert tag --help)'),
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


def test_what_is_typed_is_not_echoed_whole(capsys: Output) -> None:
    assert exit_code("tag", "tagger", "--threads", "\x1b[31m" + "x" * 100_000) == 2
    told = capsys.readouterr().err
    assert "\\x1b[31mxxx" in told
    assert len(told) < 1100


def test_help_is_that_of_the_command(capsys: Output) -> None:
    for command in ("tag", "data convert", ""):
        assert exit_code(*command.split(), "--help") == 0
        expected = capsys.readouterr().out
        assert exit_code("help", *command.split()) == 0
        assert capsys.readouterr().out == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str, capsys: Output) -> None:
    assert exit_code("completion", shell) == 0
    script = capsys.readouterr().out
    assert "finetune" in script
    assert "convert" in script
    assert "min-confidence" in script
