"""Write passages of some languages without their blanks, as some people type, and as some data sets leave them out.

`python unspaced.py PASSAGES.jsonl ko,th > OUT.jsonl`
"""

import sys
from itertools import accumulate
from pathlib import Path

from nerbert.formats.json_files import object_line, values_of_file


def main(passages: str, languages: str) -> None:
    """Write the passages."""
    for _, row in values_of_file(Path(passages)):
        if row["language"] in languages.split(","):
            text = row["text"]
            places = [0, *accumulate(int(char != " ") for char in text)]
            entities = [
                entity | {"start": places[entity["start"]], "end": places[entity["end"]]} for entity in row["entities"]
            ]
            sys.stdout.buffer.write(object_line(row | {"text": text.replace(" ", ""), "entities": entities}))


if __name__ == "__main__":
    main(*sys.argv[1:])
