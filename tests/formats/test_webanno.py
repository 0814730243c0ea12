from collections import Counter
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.formats.documents import Reading
from nerbert.formats.format import read_documents
from nerbert.formats.webanno import WebAnno
from nerbert.records import Document, Repair, Repairs, Span
from tests.formats.exports import spans
from tests.raised import raises

NER = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value\n"
POS = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue\n"
RELATION = "#T_RL=webanno.custom.At|label|BT_de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity\n"
FILE = (
    "#FORMAT=WebAnno TSV 3.3\n" + POS + NER + RELATION + "\n\n"
    "#Sentence.id=s1\n"
    "#Text=Mira Olt 😀 left Fenwick-Bay.\n"
    "1-1\t0-4\tMira\tNNP\t*[1]\tPER[1]\t_\t_\t\n"
    "1-2\t5-8\tOlt\tNNP\t*[1]|*[2]\tPER[1]|LAST\\_NAME[2]\t_\t_\t\n"
    "1-3\t9-11\t😀\t_\t*\t*\t_\t_\t\n"
    "1-4\t12-16\tleft\tVBD\t_\t_\t_\t_\t\n"
    "1-5\t17-28\tFenwick-Bay\tNNP\t_\t_\t_\t_\t\n"
    "1-5.1\t17-24\tFenwick\t_\t*\tLOC\tin\t1-1[1_0]\t\n"
    "1-5.2\t20-20\t\t_\t*\tNOTHING\t_\t_\t\n"
    "1-6\t28-29\t.\t_\t_\t_\t_\t_\t\n"
    "\n"
    "#Text=It\\tis\n"
    "#Text=here.\n"
    "2-1\t30-32\tIt\t_\t_\t_\t_\t_\t\n"
    "2-2\t33-35\tis\t_\t_\t_\t_\t_\t\n"
    "2-3\t36-40\there\t_\t_\t_\t_\t_\t\n"
    "2-4\t40-41\t.\t_\t_\t_\t_\t_\t\n"
)


def read(path: Path, repairs: Repairs | None = None) -> list[Document]:
    return list(WebAnno().read(path, Counter() if repairs is None else repairs))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def tokens(document: Document) -> list[str]:
    return [document.text[start:end] for start, end in document.words or ()]


def small(header: str, *rows: str, text: str = "Mira Olt") -> str:
    return f"#FORMAT=WebAnno TSV 3.3\n{header}\n\n#Text={text}\n" + "".join(f"{row}\n" for row in rows)


GOOD = ("1-1\t0-4\tMira\t*\tPER", "1-2\t5-8\tOlt\t_\t_")


def test_sentences_and_their_entities(tmp_path: Path) -> None:
    repairs: Repairs = Counter()
    one, two = read(written(tmp_path / "a.tsv", FILE), repairs)
    assert (one.text, one.fields, one.group, one.line) == ("Mira Olt 😀 left Fenwick-Bay.", {"id": "s1"}, "", 7)
    assert tokens(one) == ["Mira", "Olt", "😀", "left", "Fenwick-Bay", "."]
    assert spans([one]) == [(0, 8, "PER", "Mira Olt"), (5, 8, "LAST_NAME", "Olt"), (16, 23, "LOC", "Fenwick")]
    assert (two.text, tokens(two), two.spans, two.line) == ("It\tis\nhere.", ["It", "is", "here", "."], (), 18)
    assert repairs == Counter({Repair.PASSED_OVER: 1 + 4, Repair.UNTYPED: 1, Repair.EMPTY: 1})


def test_a_folder_has_a_file_a_document(tmp_path: Path) -> None:
    written(tmp_path / "data/b.tsv", FILE)
    written(tmp_path / "data/a/x.tsv", small(NER, *GOOD))
    written(tmp_path / "data/readme.md", "no data")
    assert [each.group for each in read(tmp_path / "data")] == ["a/x.tsv", "b.tsv", "b.tsv"]
    assert WebAnno().recognise(tmp_path / "data", b"")
    gene = small("#T_SP=webanno.custom.Gene|value\n", "1-1\t0-4\tMira\tX", "1-2\t5-8\tOlt\t_")
    written(tmp_path / "data/a/c.tsv", gene)
    with raises(InputError, "earlier files webanno.custom.Gene|value; choose one with --layer"):
        read(tmp_path / "data")


def test_it_is_recognised_by_its_header(tmp_path: Path) -> None:
    written(tmp_path / "a.tsv", "text\tlabel\n")
    heads = {"a.txt": [FILE, "\ufeff" + FILE], "a.tsv": ["text\tlabel\n"], "": [""]}
    assert {name: [WebAnno().recognise(tmp_path / name, head.encode()) for head in texts]
            for name, texts in heads.items()} == {"a.txt": [True, True], "a.tsv": [False], "": [False]}  # fmt: skip


@pytest.mark.parametrize(
    ("header", "cells", "types"),
    [
        ("#T_SP=webanno.custom.Gene|kind\n", "X", ["X"]),
        ("#T_SP=webanno.custom.Gene|note|value\n", "n\tX", ["X"]),
        (POS + "#T_SP=webanno.custom.Gene|value\n", "NN\tX", ["X"]),
        ("#T_SP=webanno.custom.Gene|value\n" + NER, "Y\t*\tX", ["X"]),
        ("#T_SP=webanno.custom.G|ROLE_webanno.custom.G:r_webanno.custom.GLink|uima.tcas.Annotation|v\n", "_\t_\tX",
         ["X"]),
        (POS, "NN", []),
        ("#T_SP=webanno.custom.Mark|\n", "*", ["Mark"]),
        ("#T_SP=webanno.custom.Mark\n#T_SP=webanno.custom.Kin\n", "*\t*", ["Mark", "Kin"]),
        (NER + "#T_SP=webanno.custom.Gene|value\n", "_\t_\tX", ["X"]),
        (NER + "#T_SP=webanno.custom.Gene|value\n", "*\t*\tX", []),
        ("", "", []),
    ],
)  # fmt: skip
def test_which_layer_holds_the_entities(tmp_path: Path, header: str, cells: str, types: list[str]) -> None:
    none = "\t".join("_" for _ in cells.split("\t")) if cells else ""
    text = small(header, f"1-1\t0-4\tMira\t{cells}", f"1-2\t5-8\tOlt\t{none}")
    assert [span.type for span in read(written(tmp_path / "a.tsv", text))[0].spans] == types


def test_comments_and_a_missing_blank_line_are_passed_over(tmp_path: Path) -> None:
    text = small(NER + "#Summary=none", *GOOD).replace("\n\n", "\n")
    text = text.replace("#Text", "#Text=So\n1-1\t0-2\tSo\t_\t_\n#x\n#Text")
    one, two = read(written(tmp_path / "a.tsv", text))
    assert (one.text, two.text, spans([one, two])) == ("So", "Mira Olt", [(0, 4, "PER", "Mira")])


def test_an_entity_over_two_sentences_is_one_in_each(tmp_path: Path) -> None:
    text = small(NER, "1-1\t0-4\tMira\t*\tX", "1-2\t5-8\tOlt\t*[1]\tPER[1]") + (
        "\n#Text=Bay ran\n2-1\t10-13\tBay\t*[1]\tPER[1]\n2-2\t14-17\tran\t_\t_\n"
    )
    one, other = read(written(tmp_path / "a.tsv", text))
    assert spans([one]) == [(0, 4, "X", "Mira"), (5, 8, "PER", "Olt")]
    assert spans([other]) == [(0, 3, "PER", "Bay")]


def test_a_sentence_that_begins_with_a_space(tmp_path: Path) -> None:
    rows = ["1-1\t3-5\t😀\t_\t_", "1-2\t6-9\tOlt\t*\tPER"]
    (document,) = read(written(tmp_path / "a.tsv", small(NER, *rows, text=" 😀 Olt")))
    assert spans([document]) == [(3, 6, "PER", "Olt")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "'': expected #FORMAT=WebAnno TSV 3"),
        ("#FORMAT=WebAnno TSV 2.0\n", 1, "expected #FORMAT"),
        (small(NER, *GOOD).replace("3.3", "3.1"), 1, "expected #FORMAT=WebAnno TSV 3.3; export as WebAnno TSV v3.3"),
        (small(NER + "#T_XX=a\n", *GOOD), 3, "expected a layer"),
        (small(NER, GOOD[0], "1-2\t5-8\tOlt\t_"), 6 + 1, "broken row"),
        (small(NER, GOOD[0], "1-2\t5-8\tOlt\t_\t_\tmore"), 7, "broken row"),
        (small(NER, GOOD[0], "1-2\tx-8\tOlt\t_\t_"), 7, "broken row"),
        (small(NER, GOOD[0], "Olt"), 7, "broken row"),
        (small(NER, GOOD[0], "1-2\t5-9\tOlt\t_\t_"), 7, "token 'Olt': the sentence has '' at 5-9"),
        (small(NER, GOOD[0], "1-2\t4-8\tOlt\t_\t_"), 7, "token 'Olt': the sentence has ' Olt' at 4-8"),
        (small(NER, GOOD[0], GOOD[0]), 7, "token 'Mira': is empty, or overlaps"),
        (small(NER, "1-1.1\t0-4\tMira\t_\t_"), 5, "a sentence without a token at its beginning"),
        (small(NER), 5, "a sentence without a token at its beginning"),
        (small(NER, GOOD[0]), 6, "the sentence continues after its last token: ' Olt'; the file is cut off"),
        (small(NER, *GOOD) + "\n3-1\t9-10\tx\t_\t_\n", 9, "a token, but a sentence must begin"),
    ],
)  # fmt: skip
def test_messages(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = written(tmp_path / "a.tsv", text)
    with raises(InputError, words, path=path, line=line):
        read(path)


def test_several_layers_are_an_error(tmp_path: Path) -> None:
    layers = "#T_SP=webanno.custom.Gene|value\n#T_SP=webanno.custom.Drug|kind\n"
    with raises(InputError, "webanno.custom.Gene|value, webanno.custom.Drug|kind; name them with --layer"):
        read(written(tmp_path / "a.tsv", small(layers, *GOOD)))


@pytest.mark.parametrize(
    ("layer", "feature", "types"),
    [
        ("Gene", "kind", ["A"]), ("webanno.custom.Gene", "note", ["n"]), ("Drug", "", ["D"]),
        ("Gene,Drug", "kind", ["A", "D"]), ("POS", "PosValue", ["NN"]),
    ],
)  # fmt: skip
def test_layers_and_a_feature_that_are_named(tmp_path: Path, layer: str, feature: str, types: list[str]) -> None:
    layers = "#T_SP=webanno.custom.Gene|note|kind\n#T_SP=webanno.custom.Drug|kind\n" + POS
    text = small(layers, "1-1\t0-4\tMira\tn\tA\tD\tNN", "1-2\t5-8\tOlt\t_\t_\t_\t_")
    path, repairs = written(tmp_path / "a.tsv", text), Repairs()
    (one,) = read_documents(path, Reading(layer=layer, feature=feature, overlaps="first"), repairs)
    assert ([span.type for span in one.spans], repairs[Repair.OVERLAP]) == (types[:1], len(types) - 1)


def test_a_layer_that_is_not_there_and_a_format_without(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", small(NER, *GOOD))
    with raises(InputError, "has no layer Gene"):
        list(read_documents(path, Reading(layer="Gene")))
    path = written(tmp_path / "a.jsonl", '{"text": "Mira", "spans": []}\n')
    with raises(InputError, "its format has no layer"):
        list(read_documents(path, Reading(layer="Gene")))


def test_a_project_of_inception(tmp_path: Path) -> None:
    empty = [row.replace("*\tPER", "_\t_") for row in GOOD]
    other = [row.replace("PER", "ORG") for row in GOOD]
    for name, rows in {
        "annotation/a.txt/INITIAL_CAS": empty, "annotation/a.txt/ann": other, "annotation/a.txt/ben": other,
        "curation/a.txt/CURATION_USER": GOOD, "annotation/b.txt/INITIAL_CAS": empty, "annotation/b.txt/ann": GOOD,
        "annotation/b.txt/ben": other, "annotation/c.txt/INITIAL_CAS": empty,
    }.items():  # fmt: skip
        written(tmp_path / f"project/{name}.tsv", small(NER, *rows))
    for folder, types, left_out in (("project", ["PER", "PER"], 3), ("project/annotation", ["ORG", "PER"], 2)):
        repairs: Repairs = Counter()
        assert [span[2] for span in spans(read(tmp_path / folder, repairs))] == types
        assert repairs == Counter({Repair.ANNOTATOR: left_out, Repair.UNANNOTATED: 1})


def test_entities_without_a_value(tmp_path: Path) -> None:
    repairs: Repairs = Counter()
    read(written(tmp_path / "a.tsv", small(NER, "1-1\t0-4\tMira\t*[1]\t*[1]", "1-2\t5-8\tOlt\t*[1]\t*[1]")), repairs)
    assert repairs == Counter({Repair.UNTYPED: 1})


def test_the_form_that_is_written(tmp_path: Path) -> None:
    text = "Mira_Olt met A_*|B 😀\\ x"
    words = ((0, 8), (9, 12), (13, 14), (15, 17), (19, 20))
    marked = (Span(0, 8, "a_b->c*"), Span(13, 17, "[X]"))
    WebAnno().write(tmp_path / "a.tsv", [Document(text, marked, words, fields={"id": "d1"})])
    assert (tmp_path / "a.tsv").read_text() == (
        "#FORMAT=WebAnno TSV 3.3\n" + NER + "\n\n"
        "#Sentence.id=d1\n"
        "#Text=Mira_Olt met A_*|B 😀\\\\ x\n"
        "1-1\t0-8\tMira_Olt\t*\ta\\_b\\->c\\*\t\n"
        "1-2\t9-12\tmet\t_\t_\t\n"
        "1-3\t13-14\tA\t*[2]\t\\[X\\][2]\t\n"
        "1-4\t15-17\t*|\t*[2]\t\\[X\\][2]\t\n"
        "1-5\t19-21\t😀\t_\t_\t\n"
        "1-6\t21-22\t\\\t_\t_\t\n"
        "1-7\t23-24\tx\t_\t_\t\n"
    )
    assert spans(read(tmp_path / "a.tsv")) == [(0, 8, "a_b->c*", "Mira_Olt"), (13, 17, "[X]", "A_*|")]


def test_a_word_with_a_tab_is_an_error(tmp_path: Path) -> None:
    with raises(InputError, "word 'a\\tb' contains a tab"):
        WebAnno().write(tmp_path / "a.tsv", [Document("a\tb", (), ((0, 3),))])
    assert list(tmp_path.iterdir()) == []
