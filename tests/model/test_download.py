"""Names on the hub are resolved once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.hub import check_hub_name, download, download_once
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.folder import EMBEDDED, FILES, ModelFolder, find_named, read_card
from tests.raised import raises


class Hub:
    """What huggingface_hub is asked; it answers with the embedded encoder, or as it is `broken`."""

    def __init__(self) -> None:
        self.asked = list[tuple[str, bool]]()
        self.broken: Exception | None = ConnectionError("Name not known\nat all")

    def snapshot_download(self, name: str, *, allow_patterns: list[str], **how: Any) -> str:
        self.asked.append((name, bool(how.get("local_files_only"))))
        if self.broken:
            raise self.broken
        return find_named("embedded")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    made = Hub()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", made.snapshot_download)
    download_once.cache_clear()
    yield made
    download_once.cache_clear()


USES: list[Callable[[str], object]] = [
    read_card,
    load_tokenizer,
    lambda name: ModelFolder.open(name, "model"),
    lambda name: ModelFolder.open(name, "tagger"),
    lambda name: Backbone(name, None, 0).config,
    lambda name: Backbone(name, None, 0).load_body(),
]


@pytest.mark.parametrize("use", USES)
def test_without_a_network_a_name_is_asked_for_once(hub: Hub, use: Callable[[str], object]) -> None:
    with raises(InputError, "some/model: no such folder, and not available from the hub: Name not known; check the"):
        use("some/model")
    assert hub.asked == [("some/model", False)]


@pytest.mark.parametrize(
    "broken", [ValueError(), KeyError("sha"), RecursionError("x\ny"), OSError("cut off."), AssertionError()]
)
def test_whatever_the_hub_breaks_is_one_error_and_it_may_be_asked_again(hub: Hub, broken: Exception) -> None:
    hub.broken = broken
    with raises(InputError, "some/model: no such folder, and not available from the hub: "):
        download("some/model", FILES["small"])
    hub.broken = None
    assert download("some/model", FILES["small"]) == Path(find_named("embedded"))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ["embeded", "Embedded", "embeddedmlm"])
def test_a_slip_in_an_embedded_name_asks_nobody(hub: Hub, use: Callable[[str], object], name: str) -> None:
    with raises(InputError, f"{name}: no such folder: did you mean 'embedded"):
        use(name)
    assert hub.asked == []


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b/c", "./a", "~/a", "/a", "a--b", "a..b", "a.git", "-a", "a/", "é", "a" * 97, "a\n", "a\0b"]
)
def test_what_can_be_no_name_asks_nobody(hub: Hub, name: str) -> None:
    with raises(InputError, "no such folder; give a model's folder or its name on the hub, or one of emb"):
        ModelFolder.open(name)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["bert-base-cased", "gpt2", "a", "urchade/gliner_small-v2.1", "me/embeded", "a" * 96])
def test_what_can_be_a_name_is_one(name: str) -> None:
    check_hub_name(name, EMBEDDED)


def test_a_name_is_resolved_once_for_all_loaders(hub: Hub) -> None:
    hub.broken = None
    for use in USES[:-1]:
        use("some/model")
    assert len(hub.asked) == 3, "once for small files, for all loaders, and for a tagger's folder"


def test_local_files_only_asks_for_nothing(hub: Hub) -> None:
    for kinds in (["tagger"], []):
        with raises(InputError, "Name not known"):
            ModelFolder.open("some/model", *kinds, local_files_only=True)  # type: ignore[arg-type]
    assert hub.asked == [("some/model", True)] * 2
