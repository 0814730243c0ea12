"""Write the generated pages of the reference: `python docs/generate.py`. A test fails when one is stale.

docs/settings.md comes from the settings' docstrings, docs/commands.md from the commands' signatures and help, and
docs/languages.md from the tables of languages. The site makes docs/api.md's signatures.
"""

import ast
import inspect
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, get_args

from cyclopts import App, Parameter

from nerbert.cli import PACKAGES, add_commands
from nerbert.cli import app as nerbert_app
from nerbert.config import describe_hint, hints_of
from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.settings import CorpusSettings
from nerbert.distillation.settings import DistilSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.sentences import listed_words
from nerbert.tables import read_columns
from nerbert.training.objective import FINETUNE, OBJECTIVES, PRETRAIN, Objective
from nerbert.training.sections import sections_of
from nerbert.training.settings import Section, TrainSettings
from nerbert_annotate.settings import AnnotateSettings

MADE = "This page is made from the code by `python docs/generate.py`.\n"
SETTINGS = f"""# Settings

Every setting can stand in a TOML file or be given as `--set name=value`. Unknown names are refused, and the nearest
right one is named. A setting with a dot is in a section, which an objective or a source has: `zero_shot.max_types` is
`max_types` in the table `[zero_shot]` of a TOML file, `--set zero_shot.max_types=3` on the command line, and
`zero_shot={{"max_types": 3}}` in Python. A section that the chosen objective doesn't read is refused. *Source* says
where a default comes from: a section of the NER-BERT paper (arXiv 2112.00405), or *ours*. Settings of `nerbert
annotate` are options of the command: `max_total_tokens` is `--max-total-tokens`.

{MADE}
"""
COMMANDS = f"""# Commands

`nerbert COMMAND --help` prints the same on a terminal. Words in capitals are given without a name; `…` means one or
more. Every error is one line on standard error. Exit code 0 means success, 1 an error, 2 a command line that can't be
read, 141 a closed pipe. After Ctrl-C a command ends by the signal, which shells show as 130.

{MADE}
"""
LANGUAGES = f"""# Languages

You find here in what these Wikipedias differ from the defaults when a corpus is built. Every Wikipedia is read. An
empty cell, or no row, means the default. Names of namespaces and behaviour switches are those of MediaWiki 1.39 and of
the dump's head; where MediaWiki has none in the language, those of its fallback languages and English hold.

- *after*: letters after `]]` that belong to the link, by default `a` to `z`. `own` are the language's letters, as in
  MediaWiki; `none` is no letter.
- *before*: letters before `[[` that belong to the link, by default none: `own` as in MediaWiki, `particles` from
  [our list](../nerbert/tables/glued.tsv).
- *words*: by default what stands between spaces and punctuation. Else each character is one, or with
  `word_splitter=icu` what ICU's dictionaries say; each Korean syllable is one.
- *sentences*: whether there are [lists](../nerbert/tables/sentence_words.tsv) of abbreviations, and of words that begin
  sentences.
- *page*: whether a page is tested that was written for the purpose: its sentences, words and mentions.

{MADE}
"""
COMMANDS_OF = {
    TrainSettings: ("pretrain", "finetune", "distil"),
    PretrainSettings: ("pretrain",),
    FinetuneSettings: ("finetune", "distil"),
}
PARAMETERS = "\n\nParameters\n----------\n"
"""What comes before a command's parameters in its docstring."""
SHARED, SHORT = 3, 50
"""So many commands have an option that is explained once, by more characters than that."""
KINDS = {"VAR_POSITIONAL": "…", "POSITIONAL_OR_KEYWORD": ""}


def settings_page() -> str:
    """Return the text of docs/settings.md."""
    parts = [
        manual("`nerbert corpus build`", CorpusSettings),
        manual("`nerbert pretrain`", PretrainSettings),
        manual("`nerbert finetune`", FinetuneSettings),
        manual("`nerbert distil`", DistilSettings),
        *map(section_manual, sections_of().values()),
        manual("`nerbert annotate`", AnnotateSettings),
    ]
    return SETTINGS + "\n".join(parts)


def _settings_of(section: type[Section]) -> type[TrainSettings]:
    """Return the class of settings that has a section: the base where several commands read it."""
    readers = _readers(section).values()
    commands = {command for each in readers for command in each.traits.commands} & {*section.commands}
    kinds = {frozenset({PRETRAIN}): PretrainSettings, frozenset({FINETUNE}): FinetuneSettings}
    return kinds.get(frozenset(commands), TrainSettings)


def _readers(section: type[Section]) -> dict[str, type[Objective]]:
    """Return the objectives that read a section, by name."""
    readers = dict[str, type[Objective]]()
    for name in OBJECTIVES:
        objective = OBJECTIVES.find(name)
        traits = objective.traits
        reads = section.section in traits.sources and {*section.commands} & {*traits.commands}
        if section is objective.settings or reads:
            readers[name] = objective
    return readers


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def field_docs(cls: type) -> dict[str, str]:
    """Return name → docstring of each field, those of base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        for pair in pairwise(each for node in tree.body if isinstance(node, ast.ClassDef) for each in node.body):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    docs[name] = " ".join(text.split())
    return docs


def manual(title: str, cls: type) -> str:
    """Return the settings of `cls` as a Markdown section."""
    lines = [f"## {title}", "", _package(cls) + (inspect.getdoc(cls) or ""), ""]
    lines += [line for name, line in _field_lines(cls).items() if name != "sections"]
    return "\n".join(lines) + "\n"


def section_manual(cls: type[Section]) -> str:
    """Return a section as a Markdown section, with who reads it; what it has of another one is named alone."""
    base = cls.__base__
    inherited = [*hints_of(base)] if base and base is not Section else []
    names = _listed(_readers(cls), "or")
    commands = _listed([f"nerbert {name}" for name in COMMANDS_OF[_settings_of(cls)]], "and")
    read_by = f"Read by {commands} where `objective` is {names}."
    lines = [f"## `[{cls.section}]`", "", f"{_package(cls)}{inspect.getdoc(cls)} {read_by}", ""]
    lines += [line for name, line in _field_lines(cls).items() if name not in inherited]
    if inherited:
        same = ", ".join(f"**`{cls.section}.{name}`**" for name in inherited)
        lines.append(f"- {same}: as in [`[{base.section}]`](#{base.section}).")
    return "\n".join(lines) + "\n"


def _package(made: type | Callable[..., None]) -> str:
    """Return a note that something is in a package of its own; "" for what is in nerbert itself."""
    package = made.__module__.partition(".")[0].replace("_", "-")
    return "" if package == "nerbert" else f"(In the package `{package}`.) "


def _listed(names: Iterable[str], word: str) -> str:
    """Return names as code, with a word before the last one."""
    *others, last = (f"`{name}`" for name in names)
    return f"{', '.join(others)} {word} {last}" if others else last


def _field_lines(cls: type) -> dict[str, str]:
    """Return name → line of the manual of each field."""
    docs, hints, lines = field_docs(cls), hints_of(cls), {}
    before = f"{cls.section}." if issubclass(cls, Section) else ""
    for each in fields(cls):
        values = (
            f"text, {OBJECTIVES}" if each.name == "objective" else describe_hint(hints[each.name]).removeprefix("a ")
        )
        default = "no default" if each.default is MISSING else f"default `{each.default!r}`"
        lines[each.name] = f"- **`{before}{each.name}`** ({values}; {default}). {docs.get(each.name, '')}"
    return lines


def commands_page() -> str:
    """Return the text of docs/commands.md."""
    add_commands(*PACKAGES)
    commands = {name: (function, _option_lines(function)) for name, function in _commands(nerbert_app, "nerbert")}
    counted = Counter(line for _, lines in commands.values() for line in lines.items())
    often = [(option, meaning) for (option, meaning), count in counted.most_common() if count >= SHARED]
    shared = {option: meaning for option, meaning in reversed(often) if len(meaning) > SHORT}
    parts = [_command(name, function, lines, shared) for name, (function, lines) in commands.items()]
    return "\n".join([COMMANDS, *parts, "## Shared options", "", *_listed_lines(dict(sorted(shared.items()))), ""])


WORDS = dict.fromkeys("blk gan ja km lo mnw my rki shn tdd th wuu zh zh-classical zh-yue".split(), "characters")
WORDS |= {"ko": "syllables"}


def languages_page() -> str:
    """Return the text of docs/languages.md."""
    pages = {path.stem for path in (Path(__file__).parent.parent / "tests/corpus/languages").glob("*.wiki")}
    kinds = {"never": "abbreviations", "starter": "starters"}
    trails = {"[a-z]++": "", "(?!)": "none"}
    glued = {row[0] for row in read_columns("glued.tsv", "language")}
    rows = []
    for code, language in read_columns("wikipedias.tsv", "code", "language"):
        site = make_site(f"{code.replace('-', '_')}wiki", language, {})
        after = trails.get(site.wikitext.trail.pattern, "own")
        before = "own" if site.wikitext.prefix else "particles" if site.language in glued else ""
        lists = ", ".join(
            name for kind, name in kinds.items() if listed_words(site.language, kind) > listed_words("", kind)
        )
        cells = [after, before, WORDS.get(code, ""), lists, "yes" if {code, language} & pages else ""]
        if any(cells):
            rows.append(f"| `{code}` | {' | '.join(cells)} |\n")
    return (
        LANGUAGES + "| code | after | before | words | sentences | page |\n|---|---|---|---|---|---|\n" + "".join(rows)
    )


def _commands(app: App, path: str) -> Iterator[tuple[str, Callable[..., None]]]:
    """Yield the whole name and the function of each command, in the order of the code."""
    for name in app:
        if not name.startswith("-"):
            if function := app[name].default_command:
                yield f"{path} {name}", function
            else:
                yield from _commands(app[name], f"{path} {name}")


def _command(name: str, function: Callable[..., None], options: dict[str, str], shared: dict[str, str]) -> str:
    """Return a command as a Markdown section; of options that several commands share, only the names."""
    text = (inspect.getdoc(function) or "").partition(PARAMETERS)[0]
    own = {option: meaning for option, meaning in options.items() if shared.get(option) != meaning}
    lines = [f"## `{name}`", "", _package(function) + text, "", *_listed_lines(own)]
    if len(own) < len(options):
        lines.append(f"- [Shared](#shared-options): {', '.join(each for each in options if each not in own)}")
    return "\n".join(lines) + "\n"


def _listed_lines(options: dict[str, str]) -> list[str]:
    return [f"- **{option}**{meaning}" for option, meaning in options.items()]


def _option_lines(function: Callable[..., None]) -> dict[str, str]:
    """Return option → default and meaning of each of a command's parameters."""
    parameters = (inspect.getdoc(function) or "").partition(PARAMETERS)[2]
    helps = {key: " ".join(body.split()) for key, body in re.findall(r"(?m)^(\w+)\n((?:    .*\n?)+)", parameters)}
    lines = {}
    for key, each in _parameters(function):
        default = f" (default `{each.default}`)"
        if each.default is each.empty:
            default = "" if each.kind.name == "VAR_POSITIONAL" else " (required)"
        elif each.default in (None, "", False):
            default = ""
        elif each.default is True:
            default = f" (default `--{key}`)"
        meaning = helps.get(key) or next(filter(None, (one.help for one in _options(each))))
        lines[_option(key, each)] = f"{default}: {' '.join(meaning.split())}"
    return lines


def _parameters(function: Callable[..., None]) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield a command's parameters; settings that are options stand one by one, with their docstrings as help."""
    for key, each in inspect.signature(function).parameters.items():
        if not any(one.name == ("*",) for one in _options(each)):
            yield key, each
            continue
        cls, needed = get_args(each.annotation)[0], each.empty
        if get_args(cls):  # settings or None: options that all may be left out
            cls, needed = get_args(cls)[0], None
        docs = field_docs(cls)
        for one in fields(cls):
            default = needed if one.default is MISSING else one.default
            annotation = Annotated[one.type, Parameter(help=docs.get(one.name))]
            yield one.name, inspect.Parameter(one.name, each.kind, default=default, annotation=annotation)


def _option(key: str, each: inspect.Parameter) -> str:
    """Return a parameter as it is typed."""
    if each.kind.name in KINDS:
        return f"`{key.upper()}{KINDS[each.kind.name]}`"
    names = [name for one in _options(each) for name in one.name or ()]
    word = key.strip("_").replace("_", "-")
    both = [f"--{word}", f"--no-{word}"] if each.default is True else [f"--{word}"]
    return ", ".join(f"`{name}`" for name in names or both)


def _options(each: inspect.Parameter) -> list[Parameter]:
    """Return what a parameter's annotation says of it."""
    return [one for one in get_args(each.annotation) if isinstance(one, Parameter)]


PAGES = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "languages.md": languages_page,
}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (Path(__file__).parent / page).write_text(text(), encoding="utf-8")
