from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.conll import Conll, example_of
from nerbert.formats.documents import Reading
from nerbert.records import Document, Repair, Repairs
from tests.examples import read_examples
from tests.formats.exports import streamed
from tests.raised import raises

PLAIN = "-DOCSTART-\tO\n\nAda\tB-person\nLovelace\tI-person\nslept\tO\n\nParis\tB-city\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN + "\n\n\n",
        PLAIN.replace("\t", " "),
        PLAIN.replace("\t", "\tNN\tx\t"),
        PLAIN.replace("\n\n", "\n \t\n"),
    ],
    ids=["plain", "crlf", "bom", "no-last-newline", "blank-end", "spaces", "columns", "blank-with-space"],
)
def test_every_dress_of_the_same_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.conll").write_bytes(content.encode())
    first, second = read_examples(tmp_path / "a.conll")
    assert (first.text, first.words) == ("Ada Lovelace slept", ((0, 3), (4, 12), (13, 18)))
    assert [(s.start, s.end, s.type, s.text) for s in first.spans] == [(0, 12, "person", "Ada Lovelace")]
    assert [(s.start, s.end, s.type) for s in second.spans] == [(0, 5, "city")]


def conll_2012(*entities: str, document: str = "bn/x/00/x_0001", extra: str = "") -> str:
    """A sentence in the columns of CoNLL-2012; its words are Ada Lovelace slept."""
    rows = [
        f"{document}   0   {number}   {word}   NN   (TOP*   -   -   -   ann   {entity}   *{extra}   -"
        for number, (word, entity) in enumerate(zip(("Ada", "Lovelace", "slept"), entities, strict=True))
    ]
    return "\n".join(rows) + "\n\n"


NAMED = "Oslo\tplace\nis\tO\na\tO\n"


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("Anna B-PER extra\nleft O\n. O\n", 1, "the row has 3 columns, the others 2: 'Anna B-PER extra'; put a tab"),
        ("a NN O\nb NN O\nc O\n", 3, "the row has 2 columns, the others 3"),
        ("a\tO\nb\n", 2, "broken line 'b': expected a token"),
        ("a\tO\n\tO\n", 2, "broken line"),
        ("a\t\n", 1, "broken line"),
        ("a\tO\nb\tQ-PER\n", 2, "tag 'Q-PER': must be O, B-TYPE or I-TYPE"),
        ("a\tO\n\nb\tB-\n", 3, "tag 'B-'"),
        ("a\tO\nb\tperson\nc\tB-x\n", 2, "tag 'person'"),
        ("a NN\nb VB\n", 1, "tag 'NN'"),
        ("1\ta\tO\n2\tb\tO\n\n1\t\tO\n2\tb\tO\n", 4, "broken line"),
        ("# z\na B-x\n", 1, "tag 'z'"),
        ("Token\tTag\n" + NAMED, 1, " is a header"),
        ("TOKEN\tNER\n" + NAMED, 1, " is a header"),
        ("id\tword\tpos\tner_tag\n" + NAMED.replace("\t", "\tx\ty\t"), 1, " is a header"),
        (conll_2012("(A*", "*", "*"), 3, "the sentence ends inside an entity of type 'A': its bracket is open"),
        (conll_2012("(A*", "(B)", "*)"), 2, "entity '(B)': expected"),
        (conll_2012("*", "*)", "*"), 2, "entity '*)': expected"),
        (b"a\tO\ncaf\xe9\tO\n", 2, "not UTF-8 at byte 3"),
    ],
)
def test_messages(tmp_path: Path, content: str | bytes, line: int, words: str) -> None:
    path = tmp_path / "a.conll"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with raises(InputError, words, path=path, line=line):
        read_examples(path, Reading(from_="conll"))


def documents(path: Path, content: str) -> tuple[list[Document], Repairs]:
    path.write_text(content, encoding="utf-8")
    repairs = Repairs()
    return list(Conll().read(path, repairs)), repairs


CONLL_U = """# newdoc id = d1
# sent_id = 7
# text = Ada Lovelace slept
1\tAda\tAda\tPROPN\t_\t_\t3\tnsubj\t_\tSpaceAfter=No|name=B-person
2\tLovelace\tLovelace\tPROPN\t_\t_\t1\tflat\t_\tname=I-person
3-4\tslept\t_\t_\t_\t_\t_\t_\t_\t_
3\tslept\tsleep\tVERB\t_\t_\t0\troot\t_\t_
3.1\tx\tx\tVERB\t_\t_\t0\troot\t_\t_
"""
UNER = """# text = O
1\tAda\tB-person\t-\tann
2\tLovelace\tI-person\t-\tann
3\tslept\tO\t-\tann
"""
GERMEVAL = "#\twww.example.org [2009-10-17]\n1\tAda\tB-x\tB-person\n2\tLovelace\tO\tI-person\n3\tslept\tO\tO\n"
MULTICONER = "# id 0b-1 domain=en\nAda _ _ B-person\nLovelace _ _ I-person\nslept _ _ O\n"
MIT = "B-person\tAda\nI-person\tLovelace\nO\tslept\n"
BMES = "Ada B-person\nLovelace E-person\nslept O\n"
IO = "Ada person\nLovelace person\nslept O\n\nO O\nO O\n"
CONLL_2003 = "-DOCSTART- -X- O O\n\nAda NNP B-NP I-person\nLovelace NNP I-NP I-person\nslept VB B-VP O\n"


ONTONOTES = f"#begin document (bn/x/00/x_0001); part 000\n{conll_2012('(person*', '*)', '*')}#end document\n"


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (ONTONOTES, {}),
        (CONLL_U, {"newdoc": "id = d1", "sent_id": "7", "text": "Ada Lovelace slept"}),
        (UNER, {"text": "O"}),
        (GERMEVAL, {}),
        (MULTICONER, {"id": "0b-1 domain=en"}),
        (MIT, {}),
        (BMES, {}),
        (IO, {}),
        (CONLL_2003, {}),
    ],
)
def test_layouts_and_schemes_are_found_out(tmp_path: Path, content: str, fields: dict[str, str]) -> None:
    (first, *_), repairs = documents(tmp_path / "a.txt", content)
    assert Conll().recognise(tmp_path / "a.txt", content.encode())
    assert first.text == "Ada Lovelace slept"
    assert [(span.start, span.end, span.type, span.text) for span in first.spans] == [(0, 12, "person", "Ada Lovelace")]
    assert (first.fields, first.group, repairs.total()) == (fields, "", 0)


@pytest.mark.parametrize(
    "content",
    [
        "Ada slept.\nBob ran.\n",
        "The pump E-104 feeds it.\n",
        "id,text,start\n1,a,0\n",
        '{"text": "O", "spans": []}\n',
        "a DT\nman NN\nand CC\nthe DT\n",
        "Sentence #\tWord\tTag\nSentence: 1\tAda\tB-x\n\tslept\tO\n\tO\tO\n",
        "a\nb\nc\n",
        "",
    ],
)
def test_what_is_no_conll_is_not_recognised(tmp_path: Path, content: str) -> None:
    assert not Conll().recognise(tmp_path / "a.txt", content.encode())


def test_a_number_sign_is_a_token_where_it_has_a_tag(tmp_path: Path) -> None:
    tabs, _ = documents(tmp_path / "a", "#\tO\nAda\tB-x\n\n#\tB-x\n\n# id 5\tO\n\n# a comment\n\n# id = 5\nb\tO\n")
    assert [each.text for each in tabs] == ["# Ada", "#", "# id 5", "b"]
    spaces, _ = documents(tmp_path / "a", "# O\nAda B-x\n\n# O\n\n# a longer comment\n#\n# B-x\nb O\n")
    assert [each.text for each in spaces] == ["# Ada", "#", "# b"]
    assert [each.line for each in spaces] == [1, 4, 8]


def test_sentences_of_a_document_have_its_number(tmp_path: Path) -> None:
    start = "-DOCSTART- -X- O O\n\n"
    several, _ = documents(tmp_path / "a", f"a O\n\n{start}b O\n\nc O\n\n{start}{start}d O\n")
    assert [each.group for each in several] == ["0", "1", "1", "3"]
    comments, _ = documents(tmp_path / "a", "# newdoc\na O\n\nb O\n\n# newdoc id = 2\nc O\n")
    assert [each.group for each in comments] == ["1", "1", "2"]
    one, _ = documents(tmp_path / "a", f"{start}b O\n\nc O\n")
    assert [each.group for each in one] == ["", ""]


def test_a_document_of_conll_2012_is_one_and_its_rows_may_differ_in_width(tmp_path: Path) -> None:
    two = conll_2012("(PERSON)", "(NORP)", "*") + conll_2012("(PERSON*", "*", "*)", extra="   (V*)")
    parts = (f"#begin document (d{number}); part 000\n{two}#end document\n" for number in (1, 2))
    found, _ = documents(tmp_path / "a", "".join(parts))
    types = [[(span.start, span.end, span.type) for span in each.spans] for each in found[:2]]
    assert types == [[(0, 3, "PERSON"), (4, 12, "NORP")], [(0, 18, "PERSON")]]
    assert [each.group for each in found] == ["1", "1", "2", "2"]
    texts = streamed(Conll(), (tmp_path / "a").read_bytes())
    assert [each.text for each in texts] == ["Ada Lovelace slept"] * 4


TWO_WORDS = (
    "Abara {0}B-First Name\nof {0}O\nKestrel {0}B-Trade Name\nLabs {0}I-Trade Name\ntoday {0}O\nin {0}O\nit {0}O\n"
)
NAMES = [("Abara", "First Name"), ("Kestrel Labs", "Trade Name")]


@pytest.mark.parametrize(
    ("content", "column", "entities"),
    [
        (TWO_WORDS.format(""), "", NAMES),
        (f"-DOCSTART- -X- O\n{TWO_WORDS}".format("-X- _ "), "", NAMES),
        ("-DOCSTART- -X- O\nLetters -X- _ B-Titre 1\nleft -X- _ O\n. -X- _ O\n", "", [("Letters", "Titre 1")]),
        ('The O\nbrig O\nHMS Beagle B-SHIP\nleft O\n: " O\n', "", [("HMS Beagle", "SHIP")]),
        ("Call O\n+47 22 33 B-PHONE\nnow O\n. O\n", "", [("+47 22 33", "PHONE")]),
        ("is O +\nFrench B-LOC -\n- O -\ntown O -\n", "", [("French", "LOC")]),
        ("Anna\tB-PER\t\nleft\tO\t\n", "", [("Anna", "PER")]),
        ("1\tAnna\tTag=B-PER\n2\tBerg\tTag=I-PER\n", "Tag", [("Anna Berg", "PER")]),
        ("1\tAnna\tE=(e1-PER-\n2\tBerg\tE=e1)\n3\tOslo\tE=(e2-LOC-)\n", "E", [("Anna Berg", "PER"), ("Oslo", "LOC")]),
        ("Anna NNP B-NP B-PER\nleft VBD B-VP O\n", "3", [("Anna", "NP"), ("left", "VP")]),
        ("Anna NNP B-NP B-PER\nleft VBD B-VP O\n", "-2", [("Anna", "NP"), ("left", "VP")]),
    ],
)
def test_spaces_in_words_and_types_and_other_columns_of_tags(
    tmp_path: Path, content: str, column: str, entities: list[tuple[str, str]]
) -> None:
    (tmp_path / "a.conll").write_text(content)
    examples = read_examples(tmp_path / "a.conll", Reading(tag_column=column))
    assert [(span.text, span.type) for example in examples for span in example.spans] == entities


def test_entities_without_a_type_get_one(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("in O\nfamilial B\ncold I\nurticaria I\n\nNo O\nangioedema B\n")
    first, second = read_examples(path, Reading(type_="disease"))
    assert [(span.text, span.type) for span in first.spans + second.spans] == [
        ("familial cold urticaria", "disease"),
        ("angioedema", "disease"),
    ]
    with raises(InputError, "its type ' ' is empty; give it a name: type_ (--type)", path=str(path), line=1):
        read_examples(path)


def test_broken_tags_are_counted(tmp_path: Path) -> None:
    (only,), repairs = documents(tmp_path / "a", "a B-x\nb I-y\nc O\nd I-x\n")
    assert [span.text for span in only.spans] == ["a", "b", "d"]
    assert repairs == {Repair.TAG: 2}


def test_words_of_conll_u_are_tagged_without_numbers_and_comments() -> None:
    rows = streamed(Conll(), (CONLL_U + "\n# O\nx\n").encode())
    assert [row.text for row in rows] == ["Ada Lovelace slept", "# x"]


TOKENS = st.text(st.sampled_from("aé#-1= \u00a0\u200d"), min_size=1, max_size=4).filter(
    lambda token: token.strip(" ") != "" and not token.startswith("-DOCSTART-")
)
ROWS = st.lists(st.tuples(TOKENS, st.sampled_from(["O", "B-x", "B-y"])), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ROWS, st.integers(0, 2)), min_size=1, max_size=4))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[list[tuple[str, str]], int]]
) -> None:
    path = tmp_path_factory.mktemp("a") / "a.conll"
    made = []
    for rows, group in sorted(given, key=lambda each: each[1]):
        example = example_of([token for token, _ in rows], [tag for _, tag in rows])
        made.append(Document(example.text, example.spans, example.words, f"{group or ''}"))
    Conll().write(path, made)
    found = list(Conll().read(path, Repairs()))
    assert [(each.text, each.words, each.spans) for each in found] == [
        (each.text, each.words, each.spans) for each in made
    ]
    same = [[one.group == other.group for other in found] for one in found]
    assert same == [[one.group == other.group for other in made] for one in made]


def test_a_text_without_words_is_written_as_sentences_of_one_document(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    Conll().write(path, [Document("Ada slept. Bob ran."), Document("x"), Document("", (), ())])
    assert [(each.text, each.group) for each in Conll().read(path, Repairs())] == [
        ("Ada slept .", "1"),
        ("Bob ran .", "1"),
        ("x", "2"),
    ]


@pytest.mark.nightly
def test_real_data_reads_whole(shared: Path) -> None:
    """Counts stated in the data's own READMEs."""
    examples = read_examples(shared / "data/ner/crossner_ai/train.conll")
    assert (len(examples), sum(len(e.words) for e in examples), sum(len(e.spans) for e in examples)) == (100, 3782, 532)
    files = sorted((shared / "data/ner").rglob("*.conll"))
    assert len(files) > 50
    assert all(map(read_examples, files))
