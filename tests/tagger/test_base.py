"""The model `base`, where it is installed: in both back ends, from weights in several files."""

from pathlib import Path

import pytest

from nerbert.model.folder import find_named, weight_files
from nerbert.tagger.tagger import Tagger

pytest.importorskip("nerbert_base")  # an sdist has none
pytestmark = pytest.mark.extras

TEXTS = [
    ("Maria Lopez left Siemens and now sells the Fairphone 5 for Vodafone.", ["person", "company", "product"]),
    ("Charles Darwin sailed on HMS Beagle to Brazil.", ["person", "ship", "country"]),
    ("stir the basil into the passata, then season with nutmeg", ["ingredient"]),
]
FOUND = [
    [("Maria Lopez", "person"), ("Siemens", "company"), ("Fairphone 5", "product"), ("Vodafone", "company")],
    [("Charles Darwin", "person"), ("HMS Beagle", "ship"), ("Brazil", "country")],
    [("basil", "ingredient"), ("passata", "ingredient"), ("nutmeg", "ingredient")],
]


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_it_finds_what_it_is_asked_for(backend: str) -> None:
    tagger = Tagger.load("base", backend=backend)
    found = [[(span.text, span.type) for span in tagger.tag(text, labels)] for text, labels in TEXTS]
    assert found == FOUND


def test_no_file_is_larger_than_code_hosts_take() -> None:
    sizes = [path.stat().st_size for path in weight_files(Path(find_named("base")))]
    assert len(sizes) > 1
    assert max(sizes) < 95_000_000
