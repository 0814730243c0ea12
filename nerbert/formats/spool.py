"""Documents that are read several times: kept in a temporary file, since a stream may be larger than memory."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

from nerbert.errors import InputError
from nerbert.records import Document


@contextmanager
def spooled(documents: Iterable[Document]) -> Iterator[Callable[[], Iterator[Document]]]:
    """Yield a function; each call gives the documents from the beginning."""
    with TemporaryFile() as file:
        count = 0
        for count, document in enumerate(documents, 1):  # noqa: B007  (the last one is the number)
            try:
                pickle.dump(document, file)
            except RecursionError:
                raise InputError("its fields are nested too deep to be written; remove them") from None

        def again() -> Iterator[Document]:
            file.seek(0)
            for _ in range(count):
                yield pickle.load(file)  # noqa: S301  (written above)

        yield again
