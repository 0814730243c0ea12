"""datatrove: documents get the tagger's entities, in tasks and processes."""

import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.tagger.tagger import Tagger

pytest.importorskip("datatrove")

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from nerbert.integrations.datatrove import TaggingStep
from tests.calls import noted
from tests.raised import raises

pytestmark = pytest.mark.extras
TEXTS = [f"The brig Margarethe {number} was built by Larsen & Holm in Tromsø." for number in range(20)]
LONG = f"The {'brig ' * 600}."


def documents(texts: list[str]) -> list[Document]:
    return [Document(text, f"{number}", metadata={"page": 7}) for number, text in enumerate(texts)]


def test_documents_have_the_taggers_entities_and_are_counted(tiny_tagger: Path) -> None:
    step = TaggingStep(tiny_tagger, batch_size=7, precision="fp32")
    wanted = [each.to_dicts() for each in Tagger.load(tiny_tagger, precision="fp32").tag_many([*TEXTS, ""])]
    done = list(step.run(documents([*TEXTS, ""])))
    assert [each.metadata for each in done] == [{"page": 7, "spans": spans} for spans in wanted]
    assert any(wanted)
    stats = step.stats.stats
    assert (stats["total"].total, stats["forwarded"].total) == (21, 21)
    assert stats["entities"].total == sum(map(len, wanted))
    assert stats["doc_len"].total == sum(map(len, TEXTS))


def test_a_document_that_cant_be_tagged_ends_the_task_or_is_noted(tiny_tagger: Path) -> None:
    texts = [TEXTS[0], LONG, TEXTS[1]]
    with raises(InputError, "document 1: "):
        list(TaggingStep(tiny_tagger, on_too_long="error").run(documents(texts)))
    step = TaggingStep(tiny_tagger, on_too_long="error", errors="note")
    one, noted, other = step.run(documents(texts))
    assert [bool(each.metadata["spans"]) for each in (one, noted, other)] == [True, False, True]
    assert "window" in noted.metadata["spans_error"]
    assert step.stats.stats["not_tagged"].total == 1
    with raises(SettingsError, "errors 'skip'"):
        TaggingStep(tiny_tagger, errors="skip")


def test_labels_at_run_time() -> None:
    (done,) = TaggingStep("embedded-open", ["person", "city"]).run(documents(["Marie Curie was born in Warsaw."]))
    assert {each["type"] for each in done.metadata["spans"]} == {"person", "city"}
    with raises(InputError, "give labels"):
        list(TaggingStep("embedded-open", errors="note").run(documents(TEXTS)))


def write_texts(folder: Path) -> None:
    folder.mkdir()
    for number in range(3):
        rows = [json.dumps({"id": f"{number}/{place}", "text": text}) for place, text in enumerate(TEXTS[number:])]
        (folder / f"{number}.jsonl").write_text("\n".join(rows))


def run(source: Path, target: Path, tagger: Path, workers: int) -> dict[str, list[dict[str, Any]]]:
    """Return the entities by document of a pipeline with two tasks."""
    steps = [
        JsonlReader(str(source)),
        TaggingStep(tagger, batch_size=7, precision="fp32"),
        JsonlWriter(str(target / "out"), compression=None),
    ]
    LocalPipelineExecutor(steps, tasks=2, workers=workers, logging_dir=str(target / "logs")).run()
    files = sorted((target / "out").iterdir())
    assert len(files) == 2, "one for each task"
    rows = [json.loads(line) for each in files for line in each.read_text().splitlines()]
    found = {row["id"]: row["metadata"]["spans"] for row in rows}
    assert len(found) == len(rows)
    return found


def test_processes_share_the_work(tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process loads a step's tagger once, since tasks run copies of the step; a new step loads it anew."""
    write_texts(tmp_path / "in")
    with monkeypatch.context() as patch:
        loads = noted(patch, Tagger, "load", lambda source, **_: source)
        for times in (1, 2):
            run(tmp_path / "in", tmp_path / f"{times}", tiny_tagger, workers=1)
            assert len(loads) == times
    found = run(tmp_path / "in", tmp_path, tiny_tagger, workers=2)
    wanted = [each.to_dicts() for each in Tagger.load(tiny_tagger, precision="fp32").tag_many(TEXTS)]
    assert found == {f"{number}/{place}": spans for number in range(3) for place, spans in enumerate(wanted[number:])}
