"""Single windows, put together from columns."""

import numpy as np

from nerbert.model.windows import Window, Windows, take_column


def rows_of(windows: Windows) -> list[Window]:
    """Every window, in order."""
    return [row_of(windows, number) for number in range(len(windows))]


def row_of(windows: Windows, number: int) -> Window:
    """One window."""
    one = np.array([number])
    ids, _ = take_column(windows.ids, windows.ends, one)
    words, positions, labels = (
        take_column(column, windows.word_ends, one)[0].tolist() if len(column) else []
        for column in (windows.words, windows.positions, windows.labels)
    )
    plain = tuple(tuple(each) if isinstance(each, list) else each for each in labels)
    return Window(int(windows.sentences[number]), tuple(ids.tolist()), tuple(words), tuple(positions), plain)
