import bz2
import gzip
import hashlib
import json
import lzma
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.dump.sites import fold_redirects
from nerbert.corpus.knowledge import database as database_module
from nerbert.corpus.knowledge import knowledge as module
from nerbert.corpus.knowledge.knowledge import Knowledge, open_knowledge
from nerbert.errors import InputError
from nerbert.records import Infobox
from tests.corpus.knowledge.looking import a_database, types_of, wiki
from tests.raised import raises

RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


def mapping(language: str, **templates: str) -> str:
    pages = templates.items()
    return wiki({f"Mapping {language}:{name}": f"{{{{TemplateMapping | mapToClass = {to}}}}}" for name, to in pages})


PARENTS = {"Place": "owl:Thing", "City": "Place", "Work": "owl:Thing", "Film": "Work"}
ONTOLOGY = wiki({f"OntologyClass:{name}": f"{{{{Class | rdfs:subClassOf = {to} }}}}" for name, to in PARENTS.items()})


def triple(title: str, name: str, host: str = "dbpedia.org") -> str:
    return f"<http://{host}/resource/{title}> <{RDF_TYPE}> <http://dbpedia.org/ontology/{name}> .\n"


def disambiguates(title: str, host: str = "dbpedia.org") -> str:
    return f"<http://{host}/resource/{title}> <http://dbpedia.org/ontology/wikiPageDisambiguates> <http://x/> .\n"


def write(folder: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def typed(
    knowledge: Knowledge,
    *wanted: str,
    pages: Iterable[tuple[str, Sequence[Infobox]]] = (),
    redirects: dict[str, str] | None = None,
    disambiguation: Iterable[str] = (),
) -> dict[str, tuple[str, str]]:
    with a_database() as database:
        knowledge.write_types(database, pages, redirects or {}, disambiguation)
        found = types_of(database, wanted)
    return {title: ("/".join(classes), source) for title, (classes, source) in found.items()}


def used(knowledge: Knowledge) -> list[dict[str, Any]]:
    report: Any = json.loads(json.dumps(knowledge.report()))
    return list(report["used"])


def passed_over(knowledge: Knowledge) -> dict[str, str]:
    report: Any = knowledge.report()
    return {entry["path"]: entry["why"] for entry in report["passed_over"]}


def test_the_source_named_first_wins(tmp_path: Path) -> None:
    ontology, table, infoboxes, triples = write(
        tmp_path,
        o=ONTOLOGY,
        table="berlin\tCity\nAlien_(film)\tfilm\n",
        m=mapping("en", Box="Work"),
        nt=triple("Berlin", "Place") + triple("Oz", "Place"),
    )
    pages = [("Berlin", [Infobox("Box")]), ("Alien (film)", [Infobox("Box")]), ("Kane", [Infobox("Box")])]
    wanted = ("Berlin", "Alien (film)", "Kane", "Oz", "Nowhere")
    first = open_knowledge([ontology, table, infoboxes, triples], "en")
    assert typed(first, *wanted, pages=iter(pages)) == {
        "Berlin": ("Place/City", "table"),
        "Alien (film)": ("Work/Film", "table"),
        "Kane": ("Work", "infobox"),
        "Oz": ("Place", "nt"),
    }
    second = open_knowledge([infoboxes, triples, table, ontology], "en")
    assert typed(second, *wanted, pages=iter(pages))["Berlin"] == ("Work", "infobox")
    assert [entry["typed"] for entry in used(second)] == [3, 1, 0, 0]
    assert [entry["lost_to_precedence"] for entry in used(second)] == [0, 1, 2, 0]


def test_the_same_knowledge_may_type_again(tmp_path: Path) -> None:
    knowledge = open_knowledge(write(tmp_path, t="A\tFilm\n"), "en")
    assert typed(knowledge, "A", "B") == typed(knowledge, "A", "B") == {"A": ("Film", "t")}
    assert used(knowledge)[0]["rows"] == 1


def test_disambiguation_pages_have_no_class(tmp_path: Path) -> None:
    paths = write(tmp_path, t="A\tFilm\nB\tFilm\nC\tCity\n", u="A\tCity\n", d=disambiguates("B"))
    knowledge = open_knowledge(paths, "en")
    assert typed(knowledge, "A", "B", "C", disambiguation=["A", "X"]) == {"C": ("City", "t")}
    assert [entry["disambiguation_pages"] for entry in used(knowledge)] == [2, 1, 0]
    assert [entry["typed"] for entry in used(knowledge)] == [1, 0, 0]
    assert [entry["lost_to_precedence"] for entry in used(knowledge)] == [0, 0, 0]
    assert knowledge.report()["disambiguation_pages"] == 3


@pytest.mark.parametrize("pack", [bytes, bz2.compress, gzip.compress, lzma.compress])
def test_compression_and_content_are_told_whatever_the_name(tmp_path: Path, pack: Any) -> None:
    files = {
        "a.jpg": ONTOLOGY,
        "b.md": mapping("en", Box="Film"),
        "c.xml": triple("C", "City"),
        "d.gz": "D\tCity\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_bytes(pack(b"\xef\xbb\xbf" * (name == "d.gz") + text.encode()))
    knowledge = open_knowledge([tmp_path], "en")
    assert typed(knowledge, "B", "C", "D", pages=[("B", [Infobox("Box")])]) == {
        "B": ("Work/Film", "infobox"),
        "C": ("Place/City", "c.xml"),
        "D": ("Place/City", "d.gz"),
    }
    kinds = [entry["kind"] for entry in used(knowledge)]
    assert kinds == ["ontology", "infobox mapping", "instance types", "title table"]
    assert used(knowledge)[3]["sha256"] == hashlib.sha256((tmp_path / "d.gz").read_bytes()).hexdigest()


def test_folders_are_walked_by_name_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    write(tmp_path, z="A\tFilm\n", **{".hidden": "A\tHidden\n"})
    write(tmp_path / ".git", t="A\tHidden\n")
    write(tmp_path / "b" / "c", t="A\tCity\n")
    write(tmp_path, a="")
    (tmp_path / "loop").symlink_to(tmp_path)
    knowledge = open_knowledge([tmp_path], "en")
    assert [entry["path"] for entry in used(knowledge)] == ["b/c/t", "z"]
    assert typed(knowledge, "A") == {"A": ("City", "b/c/t")}
    assert passed_over(knowledge) == {"a": "empty", "loop": "not a file (a link to a folder or to nothing)"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class\tparent\nCity\tPlace\n", "derived"),
        ("template\tclass\tkind\nInfobox film\tFilm\tplain\n", "derived"),
        ("# Read me\n\nA\tCity\n", "Markdown"),
        (mapping("de", Box="Film"), "another language (de)"),
        (triple("A", "City", "de.dbpedia.org"), "another language (de)"),
        ('<http://dbpedia.org/resource/A> <http://www.w3.org/2000/01/rdf-schema#label> "A"@en .\n', "no title a class"),
        (ONTOLOGY, "second ontology"),
    ],
)
def test_what_is_understood_but_of_no_use_is_passed_over(tmp_path: Path, text: str, why: str) -> None:
    paths = write(tmp_path, o=ONTOLOGY, m=mapping("en", Box="Film"), t="A\tCity\n", x=text)
    knowledge = open_knowledge(paths, "en")
    assert why in passed_over(knowledge)["x"]
    assert len(used(knowledge)) == 3


UNKNOWN = [
    "",
    "some words\nand more\n",
    "a\tstray\n" + "line\n" * 30,
    "a\t1\nb\t2\n",
    "EU\tB-ORG\nrejects\tO\n",
    "<html></html>",
    "\x00\x01\t\x02",
    wiki({}),
]


@pytest.mark.parametrize("text", UNKNOWN)
def test_unknown_content_is_refused_by_name_and_passed_over_in_a_folder(tmp_path: Path, text: str) -> None:
    paths = write(tmp_path, t="A\tCity\n", x=text)
    assert list(passed_over(open_knowledge([tmp_path], "en"))) == ["x"]
    with raises(InputError):
        open_knowledge(paths, "en")


OWN = "".join(f"T{n}\tMyClass{n % 7}\n" for n in range(50))
TABLE = "title\tclass\nA\tCity\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "nothing there gives titles a class"),
        ({"d": disambiguates("B")}, "gives titles a class"),
        ({"o": ONTOLOGY}, "gives titles a class"),
        ({"t": "title\tclass\nlonely\n"}, "t: no row has both a title and a class"),
        ({"t": TABLE, "x": "some words\nand more\n"}, "title<TAB>class"),
        (
            {"o": ONTOLOGY, "x": f"title\tclass\n{OWN}"},
            "x: 7 of 7 classes are not in the ontology (MyClass0, MyClass1, MyClass2, …)",
        ),
        ({"o": ONTOLOGY, "x": OWN + "A\tCity\n"}, "x: 7 of 8 classes are not in the ontology"),
        ({"o": ONTOLOGY.replace("<page>", "\n<page>", 1)[:-20]}, "o:2: XML is not well-formed"),
        ({"x": TABLE.encode("utf-16")}, "x: text in UTF-16; save it in UTF-8"),
        ({"x": b"\xfe\xff" + TABLE.encode("utf-16-be")}, "x: text in UTF-16"),
        ({"x": "title,class\nA,City\nB,Film\n"}, "x: text of unknown content; understood are "),
        ({"x": triple("A", "City", "de.dbpedia.org")}, "of another language (de) than the dump's (en)"),
        ({f"t{n}": f"A{n}\tFilm\n" for n in range(4)}, "4 files give titles a class, more than 3: join some"),
    ],
)
def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | bytes], words: str) -> None:
    monkeypatch.setattr(module, "MOST_SOURCES", 3)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with raises(InputError, words):
        open_knowledge([tmp_path / name for name in files], "en")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with raises(InputError, "absent: no such file or folder"):
        open_knowledge([tmp_path / "absent"], "en")


def test_a_file_given_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SOURCES", 2)
    paths = write(tmp_path, t="A\tCity\n", u="B\tCity\n")
    knowledge = open_knowledge([*paths, tmp_path], "en")
    assert (len(knowledge.sources), passed_over(knowledge)) == (2, {"t": "named before", "u": "named before"})


def test_own_classes_need_no_ontology(tmp_path: Path) -> None:
    _, rows, _ = write(tmp_path, o=ONTOLOGY, x=f"title\tclass\n{OWN}A\tsoccer player\n", t=TABLE)
    assert "MyClass0" in passed_over(open_knowledge([tmp_path], "en"))["x"]
    assert typed(open_knowledge([rows], "en"), "T1", "A") == {"T1": ("MyClass1", "x"), "A": ("soccer_player", "x")}


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress, lzma.compress])
def test_packed_files_that_are_cut_off_are_named(tmp_path: Path, pack: Any) -> None:
    rows = "".join(f"{hashlib.sha256(str(number).encode()).hexdigest()}\tCity\n" for number in range(3_000))
    data = pack(rows.encode())
    (tmp_path / "t").write_bytes(data[: len(data) * 9 // 10])
    with raises(InputError, "t: cut off or damaged near byte "):
        typed(open_knowledge([tmp_path], "en"), "A")
    (tmp_path / "t").write_bytes(pack(ONTOLOGY.encode())[:-12])
    with raises(InputError, "t: cut off or damaged near byte "):
        open_knowledge([tmp_path], "en")


def test_tables_have_headers_more_columns_and_broken_rows(tmp_path: Path) -> None:
    rows = [
        "Title\tclass\tseen",
        "A\tCity\t3",
        "lonely",
        "\tCity",
        "C\t",
        "",
        "d d\tdbo:Film\r",
        "E\towl:Thing",
        "x" * 9_000_000 + "\tCity",
        "A\tFilm",
    ]
    knowledge = open_knowledge(write(tmp_path, t="\n".join(rows)), "en")
    assert typed(knowledge, "A", "C", "D d", "E") == {"A": ("City", "t"), "D d": ("Film", "t")}
    (entry,) = used(knowledge)
    assert (entry["rows"], entry["typed"], entry["other_rows"]) == (8, 2, 1)
    assert entry["dropped"] == {"bad_row": 4}
    assert entry["bad_rows"] == ["t:3: lonely", "t:4: \tCity", "t:5: C\t", "t:9: a line too long"]


def test_bad_bytes_and_titles_that_no_wiki_has_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"A\tCity\nB\tCity\n\xff\tCity\n" + b"C\tCity\t" + b"x" * (3 << 20) + b"\nD\tCity\n")
    write(tmp_path, u=triple("E", "City") + triple("F" * 1001, "City"))
    knowledge = open_knowledge([tmp_path], "en")
    assert set(typed(knowledge, *"ABCDE", "F" * 1001)) == set("ABCDE")
    assert [entry["dropped"] for entry in used(knowledge)] == [{"bad_row": 1}] * 2


def test_classes_that_the_ontology_lacks_are_counted_and_type_nothing(tmp_path: Path) -> None:
    table = "A\tCity\nB\tSpam\nC\tCity\nD\tFilm\nE\tSpam\nF\tHam\nG\tCity\nH\tCity"
    paths = write(tmp_path, o=ONTOLOGY, t=table, u="B\tFilm\n", m=mapping("en", Odd="Spam"))
    pages = [("F", [Infobox("Odd")])]
    knowledge = open_knowledge([*paths[::-1]], "en")
    assert typed(knowledge, *"ABEF", pages=pages) == {"A": ("Place/City", "t"), "B": ("Work/Film", "u")}
    assert [entry["dropped"] for entry in used(knowledge)[:3]] == [{"unknown_class": 1}, {}, {"unknown_class": 3}]
    assert [entry["lost_to_precedence"] for entry in used(knowledge)] == [0, 0, 0, 0]
    assert knowledge.report()["unknown_classes"] == {"Spam": 3, "Ham": 1}
    assert knowledge.report()["classes"] == 4
    assert typed(open_knowledge(paths[1:2], "en"), "B") == {"B": ("Spam", "t")}


def test_an_ontology_bounds_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_MOST_CLASSES", 4)
    ontology, rows = write(
        tmp_path, o=ONTOLOGY, t="title\tclass\nA\tCity\n" + "".join(f"T{n}\tC{n}\n" for n in range(9))
    )
    with raises(InputError, "more than 4 classes"):
        typed(open_knowledge([rows], "en"), "A")
    assert typed(open_knowledge([ontology, rows], "en"), "A") == {"A": ("Place/City", "t")}


def test_the_deepest_triple_wins_and_names_are_decoded(tmp_path: Path) -> None:
    triples = [
        "# started\n",
        triple("Caf%C3%A9_Royal", "Place", "de.dbpedia.org"),
        triple("Caf%C3%A9_Royal", "City", "de.dbpedia.org"),
        triple("Caf%C3%A9_Royal", "Work", "de.dbpedia.org"),
        triple("Caf\\u00E9", "Unknown", "de.dbpedia.org"),
        triple("Caf\\u00E9", "Work", "de.dbpedia.org"),
        triple("Bad%FF", "Work", "de.dbpedia.org"),
        triple("Gift", "Work"),
        triple("K%C3%B6ln", "City", "de.dbpedia.org"),
        triple("Roma", "City", "it.dbpedia.org"),
        f"<http://dbpedia.org/resource/A> <{RDF_TYPE}> <http://www.w3.org/2002/07/owl#Thing> .\n",
        f"<http://dbpedia.org/resource/A> <{RDF_TYPE}> <http://dbpedia.org/ont",
    ]
    knowledge = open_knowledge(write(tmp_path, o=ONTOLOGY, nt="".join(triples)), "de")
    assert typed(knowledge, "Café Royal", "Café", "Köln", "Roma", "Gift", "A") == {
        "Café Royal": ("Place/City", "nt"),
        "Café": ("Work", "nt"),
        "Köln": ("Place/City", "nt"),
    }
    entry = used(knowledge)[1]
    assert (entry["rows"], entry["other_rows"], entry["dropped"]) == (12, 4, {"bad_row": 2, "unknown_class": 1})


def test_a_later_infobox_makes_the_first_finer(tmp_path: Path) -> None:
    text = mapping("en", Any="Place", Town="City", Movie="Film", Thing="owl:Thing")
    knowledge = open_knowledge(write(tmp_path, o=ONTOLOGY, m=text), "en")
    pages = {"A": "Thing Any Town", "B": "Movie Any Town", "C": "Any Movie", "D": "Town Any", "E": "Any Movie Town"}
    boxes = [(title, [Infobox(name) for name in names.split()]) for title, names in pages.items()]
    assert {title: found for title, (found, _) in typed(knowledge, *pages, pages=boxes).items()} == {
        "A": "Place/City",
        "B": "Work/Film",
        "C": "Place",
        "D": "Place/City",
        "E": "Place/City",
    }


def test_template_redirects_of_any_length_and_case_are_followed(tmp_path: Path) -> None:
    text = mapping("en", **{"Infobox software": "Film", "Infobox town": "City", "Old place": "Place"})
    knowledge = open_knowledge(write(tmp_path, o=ONTOLOGY, m=text), "en")
    redirects = {f"Infobox {n}": f"Infobox {n + 1}" for n in range(9)} | {"Infobox 9": "Infobox Software"}
    redirects |= {"Old place": "New place", "Other place": "New place", "Infobox town": "Infobox Software"}
    pages = [
        (each, [Infobox(each)])
        for each in ("Infobox 0", "Infobox 9", "New place", "Other place", "Infobox town", "Infobox Town")
    ]
    found = typed(knowledge, *(title for title, _ in pages), pages=pages, redirects=fold_redirects(redirects))
    assert {title: path for title, (path, _) in found.items()} == {
        "Infobox 0": "Work/Film",
        "Infobox 9": "Work/Film",
        "New place": "Place",
        "Other place": "Place",
        "Infobox town": "Place/City",
        "Infobox Town": "Place/City",
    }


def test_mappings_without_a_rule_are_no_dump_of_wikidata(tmp_path: Path) -> None:
    circle = wiki({f"Mapping en:{name}": f"#REDIRECT [[Mapping en:{to}]]" for name, to in ("AB", "BA")})
    mappings, rows = write(tmp_path, m=circle, t="A\tFilm\n")
    knowledge = open_knowledge([mappings, rows], "en")
    assert typed(knowledge, "A", pages=[("A", [Infobox("A")])]) == {"A": ("Film", "t")}
    entry = used(knowledge)[0]
    assert (entry["rows"], entry["dropped"]) == (2, {"bad_row": 2})
    assert entry["bad_rows"] == ["Mapping en:A: redirects in a circle", "Mapping en:B: redirects in a circle"]
    with raises(InputError, "gives titles a class (only infobox mapping, without a class"):
        open_knowledge([mappings], "en")


def test_english_disambiguation_pages_bar_no_title_of_another_wiki(tmp_path: Path) -> None:
    text = disambiguates("A", "de.dbpedia.org") + disambiguates("B")
    knowledge = open_knowledge(write(tmp_path, t="A\tFilm\nB\tFilm\n", d=text, e=disambiguates("B")), "de")
    assert typed(knowledge, "A", "B") == {"B": ("Film", "t")}
    assert used(knowledge)[1]["other_rows"] == 1
    assert list(passed_over(knowledge)) == ["e"]


def test_a_list_of_disambiguation_pages_bars_no_article_with_an_infobox(tmp_path: Path) -> None:
    names, listed = ("A", "B", "C"), "".join(map(disambiguates, "ABC"))
    paths = write(tmp_path, t="A\tFilm\nB\tFilm\nC\tFilm\n", d=listed, m=mapping("en", Box="City"))
    knowledge = open_knowledge(paths, "en")
    boxes = [(name, [Infobox(box)]) for name, box in zip(names, ("Box", "Odd", "Box"), strict=True)]
    assert typed(knowledge, *names, pages=boxes, disambiguation=["C"]) == {"A": ("Film", "t")}
    assert [entry["disambiguation_pages"] for entry in used(knowledge)] == [2, 0, 1]
    assert [entry["lost_to_precedence"] for entry in used(knowledge)] == [0, 0, 1]
    assert knowledge.report()["disambiguation_pages"] == 2
    first = open_knowledge([*paths[::-1]], "en")
    assert typed(first, *names, pages=boxes, disambiguation=["C"]) == {"A": ("City", "infobox")}


KINDS = {
    "dbpedia/Mapping_en.xml.xz": "infobox mapping",
    "dbpedia/ontology.xml.xz": "ontology",
    "types/combined.tsv.xz": "title table",
    "types/joie_db111k.tsv.xz": "title table",
    "types/kelpie_db100k.tsv.xz": "title table",
    "types/semaida_lookup.tsv.xz": "title table",
    "types/semaida_pos.tsv.xz": "title table",
}


def test_all_shared_files_are_told_rightly(shared: Path) -> None:
    knowledge = open_knowledge([shared / "data"], "en")
    assert {entry["path"]: entry["kind"] for entry in used(knowledge)} == KINDS
    why = passed_over(knowledge)
    assert all(
        "derived" in why[f"dbpedia/{name}.tsv"] for name in ["classes", "infobox_to_class.en", "infobox_to_class.it"]
    )
    assert all(f"({language})" in why[f"dbpedia/Mapping_{language}.xml.xz"] for language in ["de", "fr", "it"])
    assert why["types/README.md"] == "Markdown"
    for name in (name for name, kind in KINDS.items() if kind == "title table"):
        (entry,) = used(open_knowledge([shared / "data" / name], "en"))
        assert entry["kind"] == "title table", "also without an ontology"
