"""A language model as a system: its requests, its answers, and what is kept, against a server of the tests' own."""

import csv
import json
import runpy
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nerbert.formats.format import read_documents
from tests.annotate.model_server import ModelServer, fail, say, serving

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CERTIFICATES = ssl.create_default_context()
TRAIN = """The\tO\nRose\tB-SHIP\nsank\tO\n
Kiel\tB-port\nis\tO\na\tO\nport\tO\n
Ada\tO\nleft\tO\nKiel\tB-port\n
"""
TEST = """Mary\tB-SHIP\nRose\tI-SHIP\nleft\tO\nKiel\tB-port\nfor\tO\nnew-Kiel\tO\nand\tO\nKiel\tB-port\n
The\tO\nAda\tB-SHIP\nsank\tO\n
Nobody\tO\nleft\tO\n
"""
MARY, ADA, NOBODY = "Mary Rose left Kiel for new-Kiel and Kiel", "The Ada sank", "Nobody left"


def spans(*entities: tuple[str, str]) -> str:
    return json.dumps({"entities": [{"text": text, "type": type_} for text, type_ in entities]})


ANSWERS = {
    MARY: f"<think>{{</think>Here:\n```json\n{spans(('Rose', 'port'), ('mary rose', 'Ship'), ('Kiel', 'port'))}\n```",
    ADA: spans(("Ada", "ship"), ("Ada", "person"), ("Eve", "ship")),
    NOBODY: "I can't.",
}


@dataclass
class Bench:
    """A folder with data, a server, and the pauses that were made."""

    server: ModelServer
    folder: Path
    patch: pytest.MonkeyPatch
    slept: list[float] = field(default_factory=list)

    def run(self, *more: str, train: str = TRAIN, test: str = TEST) -> None:
        paths = [self.folder / "ships" / f"{name}.conll" for name in ("train", "dev", "test")]
        paths[0].parent.mkdir(exist_ok=True)
        for path, text in zip(paths, (train, "", test), strict=True):
            path.write_text(text, encoding="utf-8")
        script = str(BENCHMARKS / "external_llm.py")
        output = [str(self.folder / "out.jsonl"), "1", "--keep", str(self.folder / "kept")]
        given = ["--model", "m", "--url", self.server.address, "--concurrency", "1"]
        self.patch.setattr(sys, "argv", [script, *map(str, paths), *output, *given, *more])
        runpy.run_path(script, run_name="__main__")

    def found(self) -> list[list[tuple[int, str, str]]]:
        rows = read_documents(self.folder / "out.jsonl")
        return [[(span.start, row.text[span.start : span.end], span.type) for span in row.spans] for row in rows]

    def contents(self) -> list[str]:
        return [asked.body["messages"][0]["content"] for asked in self.server.asked]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr("nerbert_annotate.client.ssl.create_default_context", lambda: CERTIFICATES)
    with serving() as server:
        server.label = ANSWERS.__getitem__
        bench = Bench(server, tmp_path, monkeypatch)

        async def sleep(seconds: float, _: object) -> None:
            bench.slept.append(seconds)

        monkeypatch.setattr("nerbert_annotate.annotate._sleep", sleep)
        yield bench


def last_json(told: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(told.splitlines()[-1])
    return row


def test_a_model_is_a_row_with_scores_and_costs(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.server.moods = [fail(429, Retry_After="7")]
    bench.run("--examples", "1", "--csv", str(bench.folder / "row.csv"))
    assert bench.found() == [
        [(0, "Mary Rose", "SHIP"), (15, "Kiel", "port"), (37, "Kiel", "port")],
        [(4, "Ada", "SHIP")],
        [],
    ]
    told = capsys.readouterr().out
    assert "| m | 1 | 3 | 100.00 | 100.00 | 100.00 |" in told
    assert bench.server.address.split("/")[2] not in told
    row = last_json(told)
    assert row["reasons"] == {"not_the_form_asked_for": 1}
    assert [row[key] for key in ("input_tokens", "output_tokens", "bad_entries", "invented_mentions")] == [
        300,
        30,
        1,
        1,
    ]
    with (bench.folder / "row.csv").open(newline="", encoding="utf-8") as file:
        records = {row["metric"]: row for row in csv.DictReader(file) if not row["type"]}
    assert [records["micro.f1"][key] for key in ("system", "target", "size", "value")] == [
        "m, examples: 1",
        "ships",
        "3",
        "1.0",
    ]
    assert [records[f"facts.{key}"]["value"] for key in ("input_tokens", "without_answer")] == ["300", "1"]
    assert float(records["facts.seconds"]["value"]) == row["seconds"] > 0
    assert bench.slept[0] == 7.0
    assert bench.server.passages == [MARY, MARY, ADA, NOBODY]


def test_a_request_has_the_types_and_the_nearest_examples_last(bench: Bench) -> None:
    bench.run("--examples", "2", "--label", "SHIP=ship: a vessel", "--label", "port")
    first = bench.server.asked[0].body
    content = first["messages"][0]["content"]
    assert "- ship: a vessel\n- port\n" in content
    shown = [
        f"<passage>\nThe Rose sank\n</passage>\n{spans(('Rose', 'ship'))}",
        f"<passage>\nAda left Kiel\n</passage>\n{spans(('Kiel', 'port'))}",
    ]
    assert content.partition("text.\n\n")[2] == "\n\n".join([*shown, f"<passage>\n{MARY}\n</passage>"])
    schema = first["response_format"]["json_schema"]["schema"]["properties"]["entities"]["items"]
    assert schema["properties"]["type"]["enum"] == ["ship", "port"]
    bench.run("--examples", "0")
    assert bench.contents()[3].count("<passage>\n") == 1


def test_only_sentences_without_an_answer_are_asked_for(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.server.moods = [say(ANSWERS[MARY]), fail(401)]
    with pytest.raises(SystemExit, match=r"^http://HOST/v1 refuses the key .*1 of 3 texts done.*rerun"):
        bench.run()
    path = bench.folder / "kept" / "answers.jsonl"
    (kept,) = path.read_text(encoding="utf-8").splitlines()
    assert (json.loads(kept)["text"], json.loads(kept)["tokens"]) == (MARY, [100, 10])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"text": "The A')  # killed
    bench.run()
    assert bench.server.passages == [MARY, ADA, ADA, NOBODY]
    assert bench.found()[1] == [(4, "Ada", "SHIP")]
    bench.run()
    before, row = (last_json(run) for run in capsys.readouterr().out.split("| model")[1:])
    assert before["seconds"] == row["seconds"]
    assert (row["kept_before"], row["input_tokens"], len(bench.server.asked)) == (3, 300, 4)  # bad ones are final, too


def test_a_server_without_schemas_is_asked_for_plain_json(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.server.moods = [fail(400, "response_format is not supported"), say(ANSWERS[MARY]), fail(400, "moderation")]
    bench.run()
    assert [("response_format" in asked.body) for asked in bench.server.asked] == [True, False, False, False]
    told = capsys.readouterr()
    assert "the server rejects response_format" in told.err
    assert last_json(told.out)["reasons"] == {"request_rejected": 1, "not_the_form_asked_for": 1}
    assert [len(found) for found in bench.found()] == [3, 0, 0]


@pytest.mark.parametrize(
    ("answer", "finish", "names", "fault"),
    [
        (spans(("Kiel", "port"), ("Mary Rose", "ship"))[:-20], "length", ["Kiel", "Kiel"], {}),
        (
            '{"text": "Kiel", "type": "port"}\n{"text": "Mary Rose", "type": "ship"}',
            "stop",
            ["Mary Rose", "Kiel", "Kiel"],
            {},
        ),
        ('{"entities": []}', "stop", [], {}),
        ('{"port": [], "ship": ["Mary Rose"]}', "stop", [], {"not_the_form_asked_for": 1}),
        ("[" * 200_000, "stop", [], {"not_the_form_asked_for": 1}),
        (spans(("Eve", "ship")), "stop", [], {"no_mention_in_the_text": 1}),
        (None, "content_filter", [], {"refused_by_the_model": 1}),
        ('{"ent', "length", [], {"answer_cut_off": 1}),
    ],
)
def test_what_can_be_read_of_an_answer_counts(
    bench: Bench, capsys: pytest.CaptureFixture[str], answer: str, finish: str, names: list[str], fault: dict[str, int]
) -> None:
    bench.server.always = say(answer, finish)
    bench.run(test=TEST.partition("\n\n")[0] + "\n\n")
    assert [name for _, name, _ in bench.found()[0]] == names
    assert last_json(capsys.readouterr().out)["reasons"] == fault
    assert len(bench.server.asked) == 1
