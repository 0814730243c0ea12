"""Make the data set from the domains' files: a file a split, the list of types, and the card.

`python sources/open_types/build.py -o open-types` writes a folder, byte for byte the same for the same passages.
Broader types are entities too, so most spans have two. `asked` lists the types of the passage's domain: what is not
marked there is none of these, and nothing is known of other types.
"""

import argparse
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from domains import NAME, PASSAGES, Domain, read_domains
from nerbert.artifacts import publish_folder, sha256_of
from nerbert.data.splits import SPLITS
from nerbert.terminal import tell

_HERE = Path(__file__).parent


@cache
def _splits() -> dict[str, list[str]]:
    """Return the domains of each split but train."""
    return tomllib.loads((_HERE / "splits.toml").read_text(encoding="utf-8"))


def split_of(domain: str) -> str:
    """Return the split that a domain belongs to."""
    return next((split for split, names in _splits().items() if domain in names), "train")


def type_lines(domains: Sequence[Domain]) -> Iterator[str]:
    """Yield a line for each type: its mentions, the domains that list it, and its description in the first of them."""
    mentions = mentions_of(domains)
    listed: dict[str, list[Domain]] = {}
    for domain in domains:
        for name in domain.types:
            listed.setdefault(name, []).append(domain)
    yield "type\tmentions\tdomains\tdescription\n"
    for name, found in sorted(listed.items()):
        yield f"{name}\t{mentions[name]}\t{len(found)}\t{found[0].types[name].description}\n"


def mentions_of(domains: Sequence[Domain]) -> Counter[str]:
    """Return how many mentions each type has, as a broader type too."""
    return Counter(span.type for domain in domains for passage in domain.passages for span in domain.entities(passage))


def card(domains: Sequence[Domain], hashes: dict[str, str], template: str) -> str:
    """Return the card of the data set."""
    mentions, genres = mentions_of(domains), Counter(each.genre for each in domains)
    passages = [passage for each in domains for passage in each.passages]
    in_split = {split: [each for each in domains if split_of(each.name) == split] for split in SPLITS}
    trained = {name for each in in_split["train"] for name in each.types}
    tested = {name for each in in_split["test"] for name in each.types}
    return (
        Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
        .from_string((_HERE / template).read_text(encoding="utf-8"))
        .render(
            domains=domains,
            languages=Counter(each.language for each in domains for _ in each.passages),
            passages=len(passages),
            mentions=sum(len(each.spans) for each in passages),
            entities=sum(mentions.values()),
            types=len(mentions),
            genres=genres,
            hashes=hashes,
            splits=in_split,
            words=sum(len(each.text.split()) for each in passages),
            empty=sum(not each.spans for each in passages),
            twice=sum(
                any(each.types[span.type].broader for span in passage.spans)
                for each in domains
                for passage in each.passages
            ),
            agreement=(_HERE / "agreement.md").read_text(encoding="utf-8").strip(),
            new=len(tested - trained),
            tested=len(tested),
            rare=sorted(name for name in mentions if mentions[name] < 3),
        )
    )


def build(folder: Path, domains: Sequence[Domain], template: str = "card.md.j2") -> dict[str, str]:
    """Write the files of the data set into a folder; return their SHA-256."""
    for split in SPLITS:
        with (folder / f"{split}.jsonl").open("wb") as stream:
            for domain in domains:
                if split_of(domain.name) == split:
                    stream.writelines(domain.line_of(passage) for passage in domain.passages)
    (folder / "types.tsv").write_text("".join(type_lines(domains)), encoding="utf-8")
    hashes = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    (folder / "README.md").write_text(card(domains, hashes, template), encoding="utf-8")
    return hashes


def publish(output: Path, domains: Sequence[Domain], template: str = "card.md.j2") -> None:
    """Make a folder, and say what is in it."""
    with publish_folder(output) as folder:
        for name, digest in build(folder, domains, template).items():
            tell(f"{name}: {digest}")


def main() -> None:
    """Write the folder, and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path(NAME))
    parser.add_argument("--version", type=int, choices=(1, 2, 3), default=3, help="without the files of later versions")
    given = parser.parse_args()
    publish(given.output, [each for each in read_domains(PASSAGES) if each.version <= given.version])


if __name__ == "__main__":
    main()
