"""How many actions labelling takes with and without suggestions, and how long its trainings take.

`python benchmarks/labelling_actions.py GOLD [--sentences 50] [--tagger embedded-open] [--encoder embedded]` labels the
sentences of a file as it has them, in the order of `nerbert label`, and waits for each training, as suggestions of the
newest tagger are what counts. An action is a key or a click or drag. Each entity is one, and one more if its type isn't
the one used before; a sentence is accepted by one. With suggestions the shorter way counts: taking right ones one by
one, or all, and then removing wrong ones; a right entity over a wrong one replaces it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from nerbert.formats.examples import read_examples

Placed = tuple[int, int, str]


def main() -> None:
    """Label; print a line for each ten sentences, then the trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", type=Path)
    parser.add_argument("--sentences", type=int, default=50)
    parser.add_argument("--tagger", default="embedded-open")
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    examples = [each for each in read_examples(options.gold) if each.words]
    gold = {each.text: [(span.start, span.end, span.type) for span in each.spans] for each in examples}
    types = sorted({type_ for spans in gold.values() for _, _, type_ in spans})
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        texts.write_text("".join(json.dumps({"text": each}) + "\n" for each in gold))
        command = [sys.executable, "-m", "nerbert", "label", str(texts), "-o", f"{folder}/work", "--no-browser",
                   "--types", ",".join(types), "--tagger", options.tagger, "--encoder", options.encoder,
                   "--port", str(options.port)]  # fmt: skip
        with (Path(folder) / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
            try:
                _label(httpx.Client(base_url=f"http://127.0.0.1:{options.port}", timeout=60), gold, options.sentences)
            finally:
                server.terminate()


def _label(client: httpx.Client, gold: dict[str, list[Placed]], count: int) -> None:
    _wait(client)
    used, without, aided, entities, types = "", 0, 0, 0, {True: "", False: ""}
    done = 0
    while done < count:
        item = client.post("/label/next", json={"tab": "benchmark"}).raise_for_status().json()["item"]
        spans = gold.get(item["text"])
        answer: dict[str, Any] = {"tab": "benchmark", "id": item["id"], "revision": item["revision"]}
        if spans is None:  # the sentence rules cut it
            client.post("/label/save", json={**answer, "entities": [], "answer": "skip"}).raise_for_status()
            continue
        suggested = [(each["start"], each["end"], each["type"]) for each in item["suggestions"]]
        plain, types[False] = _labelled(spans, types[False])
        best, types[True] = _with(spans, suggested, types[True])
        without, aided, entities, done = without + plain + 1, aided + best, entities + len(spans), done + 1
        placed = [{"start": start, "end": end, "type": type_} for start, end, type_ in spans]
        client.post("/label/save", json={**answer, "entities": placed, "answer": "accept"}).raise_for_status()
        while client.get("/label").json()["learning"]:
            time.sleep(0.5)
        if done % 10 == 0:
            used = item["suggested_by"] or used
            print(f"{done} sentences, {entities} entities: {without} actions alone, {aided} with suggestions ({used})")
    for each in client.get("/label").json()["rounds"]:
        print({name: each[name] for name in ("sentences", "state", "seconds", "f1", "low", "high", "test_sentences")})


def _labelled(spans: Sequence[Placed], used: str) -> tuple[int, str]:
    """Return the actions that label entities, and the type used last."""
    actions = 0
    for _, _, type_ in spans:
        actions += 1 + (type_ != used)
        used = type_
    return actions, used


def _with(spans: Sequence[Placed], suggested: Sequence[Placed], used: str) -> tuple[int, str]:
    """Return the actions for a sentence with suggestions, by the shorter way."""
    missing = [each for each in spans if each not in suggested]
    right, wrong = len(spans) - len(missing), [each for each in suggested if each not in spans]
    in_the_way = sum(all(end <= start or stop <= begin for begin, stop, _ in spans) for start, end, _ in wrong)
    rest, last = _labelled(missing, used)
    one_by_one = right + rest + 1
    all_at_once = 1 if suggested and not missing and not in_the_way else 1 + in_the_way + rest + 1
    return min(one_by_one, all_at_once), last


def _wait(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit("the server doesn't answer")


if __name__ == "__main__":
    main()
