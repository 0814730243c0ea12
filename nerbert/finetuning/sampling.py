"""Small subsets of training sentences: drawn apart from training's seeds, the same for every system, and nested.

A draw's number decides everything: `rng.uniform` gives each sentence its place in an order, and a subset is a prefix
of that order. So of one draw, 10 sentences are among the 25, the 25 among the 50, shares lie between them, and the
subset of k entities a type lies in that of k + 1. To make sure of that, k is reached in rounds, one more of each type a
round, rarest type first; StructShot (Yang & Katiyar 2020) brings one type to k before it goes to the next. k = 1 is the
same, larger k take up to a twentieth more sentences.

A subset is a list of places in the file, so that anyone can publish and repeat it; the places hold for one file only,
so its hash belongs beside them. A sentence is identified by its text and by how many equal ones come before it, not by
its place. So sentences added to a file change no other's random number, and in a subset of so many sentences a new one
can only replace some that come later in the order. That holds for sentence counts alone: 5% of more is more, and for k
entities a type, and for episodes, new entities may change which type is served first. Equal texts with other tags are
told apart by their order alone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP

from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.sizes import Size, SizeUnit, many, parse_size
from nerbert.records import Example
from nerbert.rng import uniform

_SUBSETS = 'a subset is of sentences (50), a share ("5%") or entities a type ("k=4")'


@dataclass(frozen=True, slots=True)
class Subset:
    """Sentences drawn: their places in the whole (from 0, ascending), and the entities of each type among them."""

    size: Size
    draw: int
    places: tuple[int, ...]
    reached: dict[str, int]
    """Every type of the whole, with its entities in the subset."""
    there: dict[str, int]
    """Every type of the whole, with its entities in the whole."""

    @property
    def short(self) -> dict[str, int]:
        """Return types of which the whole has fewer than the k asked for, with how many there are."""
        return {type_: count for type_, count in self.reached.items() if count < self.size.shots}


def draw_subset(examples: Sequence[Example], size: Size | str | int, draw: int) -> Subset:
    """Return the subset of a size in one of the numbered draws; raise SettingsError if it is too large."""
    check_draw(draw)
    size = size if isinstance(size, Size) else parse_size(size)
    if not examples:
        raise InputError(f"no sentences to draw {size} from")
    match size.kind:
        case SizeUnit.ALL:
            places: Iterable[int] = range(len(examples))
        case SizeUnit.SENTENCES | SizeUnit.PERCENT:
            places = _ordered(examples, draw, "subset: sentences")[: _count(size, len(examples))]
        case SizeUnit.EACH:
            places = _each_type(examples, size.shots, draw)
        case SizeUnit.EPISODE:
            raise SettingsError(f"size {size}: episodes exist in suites only (nerbert benchmark); {_SUBSETS}")
    places, there = tuple(sorted(places)), _entities(examples)
    reached = _entities(examples[place] for place in places)
    return Subset(size, draw, places, {type_: reached[type_] for type_ in sorted(there)}, dict(sorted(there.items())))


def _ordered(examples: Sequence[Example], draw: int, step: str) -> list[int]:
    """Return all places in the order of a draw."""
    return ordered(identities(examples), range(len(examples)), draw, step)


def _count(size: Size, there: int) -> int:
    """Return how many sentences a size in sentences or percent means."""
    if size.kind is SizeUnit.PERCENT:
        return max(1, int((size.number * there / 100).to_integral_value(ROUND_HALF_UP)))
    if size.number > there:
        only = f"there {'is' if there == 1 else 'are'} only {many(there, 'sentence')}"
        raise SettingsError(f"size {size}: {only}; take that many or fewer")
    return int(size.number)


def _entities(examples: Iterable[Example]) -> Counter[str]:
    """Count the entities of each type."""
    return Counter(span.type for example in examples for span in example.spans)


def _each_type(examples: Sequence[Example], k: int, draw: int) -> list[int]:
    """Return sentences with at least k entities of each type, or all there are, reached one more a round."""
    there = _entities(examples)
    if not there:
        raise InputError(f"no entity in {many(len(examples), 'sentence')}, so none of each type can be drawn")
    queues: dict[str, list[int]] = {type_: [] for type_ in sorted(there, key=lambda type_: (there[type_], type_))}
    for place in reversed(_ordered(examples, draw, "subset: entities of each type")):
        for type_ in {span.type for span in examples[place].spans}:
            queues[type_].append(place)
    taken: set[int] = set()
    reached: Counter[str] = Counter()
    for wanted in range(1, min(k, max(there.values())) + 1):
        for type_, queue in queues.items():
            while reached[type_] < min(wanted, there[type_]):
                if (place := queue.pop()) not in taken:
                    taken.add(place)
                    reached += _entities([examples[place]])
    return sorted(taken)


def check_draw(draw: int) -> None:
    """Raise SettingsError for what is no draw's number."""
    if draw < 1:
        raise SettingsError(f"draw {draw}: draws are numbered from 1")


def identities(examples: Iterable[Example]) -> list[str]:
    """Return each sentence's identity: its text, and how many equal ones come before it."""
    before: Counter[str] = Counter()
    names = []
    for example in examples:
        names.append(f"{example.text}\0{before[example.text]}")
        before[example.text] += 1
    return names


def ordered(names: Sequence[str], places: Iterable[int], draw: int, step: str) -> list[int]:
    """Return places of sentences in the order of a draw; `names` are their identities, `step` is the purpose."""
    return sorted(places, key=lambda place: (uniform(draw, step, names[place]), place))
