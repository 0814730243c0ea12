"""What a file seems to be that no format reads: a guess for an error message, from the file's first bytes."""

import re

_MAGIC = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "packed with gzip",
    b"BZh": "packed with bz2",
}
_LINES = (".jsonl", ".ndjson")
_KEY = re.compile(r'"(\w+)"\s*:')
_JSON = (
    ("Label Studio's JSON", {"annotations", "data"}),
    ("Prodigy's JSON lines", {"_input_hash"}),
    ("doccano's JSON lines", {"text", "label"}),
    ("doccano's JSON lines", {"text", "labels"}),
    ("doccano's JSON lines with relations", {"text", "entities"}),
    ("JSON of a Hugging Face data set", {"tokens", "ner_tags"}),
)
"""Names and the keys by which each is told, the first that fits counts."""


def foreign(head: bytes, name: str) -> str:
    """Return what a file with this beginning seems to be, such as `CSV`; "" if nothing speaks for anything.

    JSON of no known tool in a file named as JSON lines is left to their reader, which names the line and the fault.
    """
    if found := next((tool for magic, tool in _MAGIC.items() if head.startswith(magic)), ""):
        return found
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith(("{", "[")) and (keys := set(_KEY.findall(text))):
        unknown = "" if name.endswith(_LINES) else f"JSON with {', '.join(sorted(keys)):.60}"
        return next((tool for tool, wanted in _JSON if wanted <= keys), unknown)
    if text.startswith("<"):
        return "XML or HTML"
    lines = [line for line in text.splitlines()[:20] if line]
    counts = [{line.count(separator) for line in lines} for separator in ",;"]
    return "CSV" if len(lines) > 1 and any(len(each) == 1 and each != {0} for each in counts) else ""
