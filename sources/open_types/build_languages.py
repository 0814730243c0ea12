"""Make the data set of other languages than English, as `build.py` makes the English one.

`python sources/open_types/build_languages.py -o open-types-languages` writes a folder. `other_names` of a passage are
the names of its types in its language.
"""

import argparse
from pathlib import Path

from build import publish
from domains import LANGUAGES, NAME, read_domains


def main() -> None:
    """Write the folder, and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path(f"{NAME}-languages"))
    publish(parser.parse_args().output, list(read_domains(LANGUAGES)), "card_languages.md.j2")


if __name__ == "__main__":
    main()
