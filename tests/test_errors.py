import pytest

from nerbert.errors import InputError, MissingExtra, NerbertError, at, need


def test_message_is_one_line() -> None:
    assert str(InputError("first\n  second")) == "first second"


def test_at_adds_the_place_and_keeps_the_kind() -> None:
    with pytest.raises(InputError, match=r"^data\.conll:7: bad tag$"), at("data.conll", 7):
        raise InputError("bad tag")


def test_at_lets_other_errors_pass() -> None:
    with pytest.raises(KeyError), at("data.conll", 7):
        raise KeyError("x")


def test_need_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"no_such_module not installed: pip install 'nerbert\[train\]'"):
        need("train", "json", "no_such_module")
    need("train", "json")


def test_exit_code() -> None:
    assert NerbertError.exit_code == 1
