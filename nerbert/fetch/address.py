"""Where a public file lies, and how its content is known for what it is; nothing here asks the net.

The choice: an address is data, and a mirror stands in for scheme and host alone, with the same paths below it. The
price: a mirror that sorts its files otherwise can't be used.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from nerbert.errors import SettingsError

LATEST = "latest"
"""In a name and its address: the newest date, which the checksum list tells."""


@dataclass(frozen=True, slots=True)
class Address:
    """A public file: our name for it, what it holds, where it lies, and how its content is known for what it is.

    `sums` are pairs of algorithm and the address of a list; `limit` is the most bytes that are taken; `advice` is what
    to try where the file isn't there; `sha256` is what the content must have, where that is known beforehand.
    """

    name: str
    kind: str
    address: str
    limit: int
    begins: re.Pattern[bytes]
    advice: str
    sums: tuple[tuple[str, str], ...] = ()
    sha256: str = ""

    @property
    def undated(self) -> bool:
        """Whether it is the newest of several dates, and its checksum list says of which."""
        return bool(self.sums) and LATEST in self.name

    def dated(self, date: str) -> "Address":
        """The same file of a date."""
        sums = tuple((algorithm, place.replace(LATEST, date)) for algorithm, place in self.sums)
        return replace(
            self, name=self.name.replace(LATEST, date), address=self.address.replace(LATEST, date), sums=sums
        )

    def at(self, mirror: str) -> "Address":
        """The same file on a mirror, "" for the public servers."""
        sums = tuple((algorithm, mirrored(place, mirror)) for algorithm, place in self.sums)
        return replace(self, address=mirrored(self.address, mirror), sums=sums)


def mirrored(address: str, mirror: str) -> str:
    """The address with `mirror` for scheme and host."""
    return mirror.rstrip("/") + urlsplit(address).path if mirror else address


def check_mirror(mirror: str) -> None:
    """Raise SettingsError for what can't stand in for scheme and host."""
    try:
        parts = urlsplit(mirror)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if mirror and not (good and mirror.isascii() and mirror.isprintable() and not re.search(r"[\s?#@]", mirror)):
        raise SettingsError(
            f"--mirror = {mirror!r}: must be http(s)://host, with a port and a folder if need be, but without a "
            "password or a query"
        )
