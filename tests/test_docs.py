"""The documentation is true: its commands run, its generated pages are fresh, its links lead somewhere."""

import bz2
import re
import runpy
import shutil
import subprocess
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

import nerbert
import nerbert.cli
import nerbert.cli.data
import nerbert.registry
from nerbert.formats.marked import parse_marks
from nerbert.records import Reason
from nerbert.tagger.export import export
from tests.commands import run_in
from tests.fixtures import Once

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "packages" / "nerbert-bench" / "nerbert_bench"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("packages/*/*.md"), *(ROOT / "docs").rglob("*.md")])
UNWRAPPED = {"CHANGELOG.md", "settings.md", "commands.md", "languages.md"}
"""Generated pages, and one that grows line by line."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


PLACES = {
    "docs/how-to/cofee.md": "dump.xml knowledge",
    "docs/how-to/at-scale.md": "dump.xml knowledge my-tagger",
    "docs/how-to/compare.md": "",
    "docs/how-to/confidences.md": "data my-tagger",
    "docs/how-to/corpus.md": "dump.xml knowledge",
    "docs/how-to/datatrove.md": "corpus my-tagger notes.txt",
    "docs/how-to/distil.md": "data encoder my-tagger notes.txt",
    "docs/how-to/dump.md": "",
    "docs/how-to/fine-tune.md": "data encoder",
    "docs/how-to/haystack.md": "my-tagger",
    "docs/how-to/hugging-face-datasets.md": "my-tagger notes.txt",
    "docs/how-to/labels.md": "my-tagger notes.txt",
    "docs/how-to/language.md": "dump.xml knowledge",
    "docs/how-to/long-texts.md": "my-tagger notes.txt",
    "docs/how-to/pretrain.md": "corpus",
    "docs/how-to/mcp.md": "my-tagger",
    "docs/how-to/presidio.md": "my-tagger",
    "docs/how-to/python.md": "data encoder dump.xml knowledge",
    "docs/how-to/redact.md": "letters my-tagger notes.txt",
    "docs/how-to/spacy.md": "my-tagger notes.txt",
    "docs/how-to/speed.md": "data encoder my-tagger notes.txt",
    "docs/how-to/tag.md": "letters my-tagger notes.txt",
    "docs/formats.md": "corpus",
    "packages/nerbert-redact/README.md": "letters my-tagger notes.txt",
}
"""Pages whose commands and Python run here, and what they find in their folder."""
ELSEWHERE = {
    "README.md": "below",
    "docs/tutorial.md": "below",
    "docs/how-to/annotate.md": "packages/nerbert-annotate/tests/annotate/test_guide.py",
    "docs/how-to/compare.md": "packages/nerbert-bench/tests/bench/test_guide.py",
    "packages/nerbert-bench/README.md": "packages/nerbert-bench/tests/bench/test_guide.py",
    "packages/nerbert-annotate/README.md": "packages/nerbert-annotate/tests/annotate/test_guide.py",
    "docs/how-to/data-sets.md": "packages/nerbert-bench/tests/bench/datasets/test_commands.py",
}
"""Pages whose commands are run by a test of their own."""
TRAIN = "nerbert finetune --data data -o my-tagger\n"
"""The training of README and tutorial. It runs once; each page gets its tagger, and what it printed."""
BLANK = re.compile(r"[ \t]+")
NUMBER = re.compile(r"\d[\d,.]*")


@pytest.fixture(scope="module")
def part(sample: Path, once: Once) -> Path:
    """Every third page of the sample as `dump.xml`, its corpus, and the knowledge."""

    def make(folder: Path) -> None:
        shutil.copytree(sample / "knowledge", folder / "knowledge")
        xml = (sample / "wiki.xml").read_text(encoding="utf-8")
        pages = "".join(re.findall(r"<page>.*?</page>", xml, re.DOTALL)[::3])
        (folder / "dump.xml").write_text(f"{xml[: xml.index('<page>')]}{pages}</mediawiki>", encoding="utf-8")
        nerbert.build_corpus(folder / "dump.xml", folder / "knowledge", folder / "corpus", min_mentions=5)

    return once("docs-part", make)


@pytest.fixture(scope="module")
def desk(
    part: Path, sample: Path, tiny_encoder: Path, tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with all that the pages assume: they share one corpus, one encoder and one tagger."""
    folder = shutil.copytree(part, tmp_path_factory.mktemp("desk") / "all")
    shutil.copytree(sample / "domain", folder / "data")
    shutil.copytree(tiny_encoder, folder / "encoder")
    export(str(shutil.copytree(tiny_tagger, folder / "my-tagger")))  # without torch, commands start faster
    (folder / "notes.txt").write_text("The brig Margarethe was built by Larsen & Holm.\n" * 5)
    (folder / "letters" / "1893").mkdir(parents=True)
    shutil.copy(sample / "domain" / "test.conll", folder / "letters" / "1893")
    shutil.copy(folder / "notes.txt", folder / "letters")
    return folder


@pytest.fixture(scope="module")
def lesson(once: Once, warm: Path) -> Path:
    """The tutorial's folder after its training."""
    pytest.importorskip("nerbert_minilm")  # an sdist has none

    def train(folder: Path) -> None:
        shutil.copytree(ROOT / "docs" / "tutorial", folder)
        (folder / "printed.txt").write_text(run_block(folder, "sh", TRAIN, warm))

    return once("lesson", train)


def with_trained(body: str, lesson: Path) -> str:
    """Return a script in which the training is done already."""
    return body.replace(TRAIN, f"cp -r '{lesson}/my-tagger' . && cat '{lesson}/printed.txt'\n")


def take(desk: Path, names: str, folder: Path) -> Path:
    """Copy some of the desk's things into a page's own folder."""
    for name in names.split():
        copy = shutil.copytree if (desk / name).is_dir() else shutil.copy
        copy(desk / name, folder / name)
    return folder


def run_block(folder: Path, language: str, body: str, path: Path) -> str:
    if language == "sh":
        return run_in(folder, "bash", "-euc", body, path=path)  # no pipefail: `head` ends the command before it
    return run_in(folder, "python", "-W", "error", "-c", body, path=path) if language == "python" else ""


def normalised(line: str) -> str:
    """Return a line without its figures, which vary by machine, and without a table's padding."""
    return BLANK.sub(" ", NUMBER.sub("#", line)).strip()


@pytest.mark.extras
@pytest.mark.parametrize("page", PLACES)
def test_a_pages_commands_and_python_run(page: str, desk: Path, tmp_path: Path, warm: Path) -> None:
    take(desk, PLACES[page], tmp_path)
    if page.endswith("speed.md"):  # it makes this itself
        shutil.rmtree(tmp_path / "my-tagger" / "onnx")
    if page.endswith("confidences.md"):
        shutil.copytree(tmp_path / "my-tagger", tmp_path / "new-tagger")
    ran = 0
    for language, body in FENCE.findall((ROOT / page).read_text(encoding="utf-8")):
        if language == "python" or (language == "sh" and page not in ELSEWHERE):
            run_block(tmp_path, language, body, warm)
            ran += 1
    assert ran
    if page.endswith("tag.md"):
        assert "<mark" in (tmp_path / "notes.html").read_text(encoding="utf-8")
        made = [path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/**/*.jsonl")]
        assert sorted(made) == [
            "again/1893/test.jsonl",
            "again/notes.jsonl",
            "tagged/1893/test.jsonl",
            "tagged/notes.jsonl",
        ]


def test_readmes_commands_run(part: Path, lesson: Path, tmp_path: Path, warm: Path) -> None:
    commands = "".join(blocks(ROOT / "README.md", "sh"))
    assert TRAIN in commands
    for path in ("docs/tutorial/data", "nerbert/sample/wiki/*.bz2", "nerbert/sample/knowledge"):
        assert path in commands
        (there,) = ROOT.glob(path)
        place = tmp_path / there.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            shutil.copytree(there, place)
        else:  # a third of the sample is enough
            place.write_bytes(bz2.compress((part / "dump.xml").read_bytes()))
    shown = run_in(tmp_path, "bash", "-euo", "pipefail", "-c", with_trained(commands, lesson), path=warm)
    assert "what came in, went out, was dropped" in shown
    assert "F1 over 2 seeds" in shown
    assert '{"text": "Fatima Rahal asked about her Tessel Cargo.", "spans": [' in shown


def test_readmes_examples_print_what_the_readme_shows(
    tmp_path: Path, warm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A block without a language is what the block before it prints, figures of 0 to 1 aside: they vary by machine."""
    pytest.importorskip("nerbert_minilm")  # an sdist has none
    fences = pairwise(FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    examples = [(language, body, shown) for (language, body), (after, shown) in fences if not after]
    assert [language for language, *_ in examples] == ["sh", "python"]
    for language, body, shown in examples:
        if language == "python":
            exec(body, {"__name__": "__main__"})
            printed = capsys.readouterr().out
        else:
            printed = run_block(tmp_path, language, body, warm)
        assert re.sub(r"[01]\.\d\d", "0.##", printed) == re.sub(r"[01]\.\d\d", "0.##", shown)


@pytest.mark.extras  # with the other pages
def test_the_tutorials_commands_print_what_the_tutorial_shows(lesson: Path, tmp_path: Path, warm: Path) -> None:
    """Each line of a block without a language comes, in this order, from the command before it, figures aside."""
    folder = shutil.copytree(ROOT / "docs" / "tutorial", tmp_path / "tutorial")
    printed, compared = "", 0
    for language, body in FENCE.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        if language:
            printed = run_block(folder, language, with_trained(body, lesson), warm) or printed
        else:
            lines = iter([normalised(line) for line in printed.splitlines()])
            for line in body.splitlines():
                assert normalised(line) in lines, f"not printed, or not in this order: {line}\n{printed}"
            compared += 1
    assert compared == 7
    sentences = (folder / "sentences.txt").read_text(encoding="utf-8").splitlines()
    marked = [(folder / "data" / f"{name}.marked").read_text(encoding="utf-8") for name in ("train", "test")]
    assert [parse_marks(line)[0] for line in "".join(marked).splitlines()] == sentences


def test_every_page_that_holds_commands_is_run() -> None:
    """Results' commands need data that isn't ours; docs/extending is run by tests/extending."""
    holding = {
        page.relative_to(ROOT).as_posix()
        for page in PAGES
        if page.parent.name not in ("results", "extending") and (blocks(page, "sh") or blocks(page, "python"))
    }
    assert holding == {*PLACES, *ELSEWHERE}


def test_generated_pages_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in vars(nerbert.registry).values():  # without what other tests registered
        if isinstance(registry, nerbert.registry.Registry):
            built_in = {name: one for name, one in registry._known.items() if isinstance(one, str)}
            monkeypatch.setattr(registry, "_known", built_in)
    generated = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]
    assert list(generated) == ["settings.md", "commands.md", "languages.md"]
    for name, text in generated.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text(), f"{name}: run: python docs/generate.py"


def test_the_reference_names_every_command_and_public_name() -> None:
    commands, api = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("commands.md", "api.md"))
    nerbert.cli.add_commands(*nerbert.cli.PACKAGES)
    for name in (*nerbert.cli.app, *nerbert.cli.data.data_app):
        assert name.startswith("-") or re.search(rf"^## `nerbert (data )?{name}\b", commands, re.MULTILINE), name
    names = re.findall(r"^- `(nerbert\w*)\.(\w+).*`$", api, re.MULTILINE)  # the site documents each
    for module in {module for module, _ in names}:
        found = [name for home, name in names if home == module]
        assert sorted(found) == sorted({*import_module(module).__all__} - {"__version__"}), module
    assert "eval-rst" not in api, "GitHub shows directives as they are"
    assert "- **`--output`, `-o`** (required): Folder to make.\n" in commands


def test_the_glossary_explains_every_reason_and_column() -> None:
    """The words that a build's funnel and a benchmark's tables print are in the glossary."""
    text = (ROOT / "docs" / "explanation" / "glossary.md").read_text(encoding="utf-8").lower()
    for reason in Reason:
        assert f"`{reason}`" in text, reason
    for column in (
        "precision",
        "recall",
        "macro",
        "strict",
        "span f1",
        "seen",
        "unseen",
        "twins",
        "interval",
        "ece",
        "boundary",
        "missed",
        "spurious",
        "holm p",
        "ahead on",
        "greedy",
        "funnel",
        "copies",
    ):
        assert re.search(rf"^###.*\b{column}\b|\*{column}\*", text, re.MULTILINE), column


def test_the_architecture_names_modules_that_are_there() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_/]+\.py)`", text)
    folders = (ROOT / "nerbert", *ROOT.glob("packages/*/nerbert_*"))
    modules = [path.relative_to(ROOT).as_posix() for folder in folders for path in folder.rglob("*.py")]
    assert len(named) > 30
    for name in named:
        assert any(f"/{module}".endswith(f"/{name}") for module in modules), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, heading in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        if not target.startswith("http"):
            place = page.parent / target if target else page
            assert place.exists(), target
            assert not heading or heading in headings(place), f"{target}#{heading}"


def test_suites_of_results_pages_are_in_the_package() -> None:
    for page in (ROOT / "docs" / "results").glob("*.md"):
        for suite in re.findall(r"nerbert benchmark (\S+\.toml)", page.read_text(encoding="utf-8")):
            assert (BENCH / suite.removeprefix("nerbert/")).is_file(), f"{page.name}: {suite}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in UNWRAPPED], ids=lambda page: page.stem)
def test_prose_wraps_at_120_characters(page: Path) -> None:
    """Except tables, headings, pictures, indented code, and what has no space to break at."""
    lines = FENCE.sub("", page.read_text(encoding="utf-8")).splitlines()
    prose = [line for line in lines if not re.match(r" *[|#!]| {4}", line)]
    assert not [line for line in prose if len(line) > 120 and " " in line[:121].strip()]


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    lines = FENCE.sub("", page.read_text(encoding="utf-8")).splitlines()
    titles = [line.lstrip("#").strip().lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_configs_are_valid() -> None:
    from nerbert.config import read_toml
    from nerbert.corpus.settings import CorpusSettings
    from nerbert.encoder.settings import PretrainSettings
    from nerbert.finetuning.settings import FinetuneSettings
    from nerbert.training.sections import make_settings

    kinds = {"finetune": FinetuneSettings, "corpus": CorpusSettings}
    for path in (*ROOT.glob("nerbert/configs/*.toml"), *ROOT.glob("packages/*/*/configs/*.toml")):
        kind = next((kinds[word] for word in path.stem.split("_") if word in kinds), PretrainSettings)
        values = read_toml(path)
        for stage in values.pop("stages", [{}]):
            assert make_settings(kind, values | {name: value for name, value in stage.items() if name != "name"})


def test_nothing_names_this_machine() -> None:
    """No tracked text holds an absolute path of a developer's machine."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for name in filter(None, tracked.split("\0")):
        text = (ROOT / name).read_bytes()
        assert b"/wo" + b"rk/" not in text, name
        assert b"/ro" + b"ot/" not in text, name
