"""The page in a browser: labelling by keyboard and mouse, trying, and what must never happen."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import nerbert_label
from nerbert.serve.app import Access
from nerbert_label.labelling import LabelJob, Labelling
from nerbert_label.routes import label_routes
from tests.label.conftest import LabelProcess, LabelServer
from tests.serve.conftest import Serve
from tests.serve.page.conftest import Visit, check_types

pytestmark = pytest.mark.extras
PAGE = Path(nerbert_label.__file__).parent / "page"
TYPES = "person,city,ship"
SENTENCES = [
    "Ada Lovelace saw Paris, and Paris saw Ada Lovelace.",
    *(
        f"{name} of {city} met the {ship} in Kiel."
        for name, city, ship in zip(
            "Otto Emil Karl Hans Fritz Paul Ernst Anna Berta Clara Dora Emma".split(),
            "Ulm Bonn Trier Mainz Worms Soest Celle Jena Gotha Erfurt Fulda Passau".split(),
            "Argo Fram Gjoa Vega Maud Nina Pinta Discovery Endeavour Terra Nautilus Erebus".split(),
            strict=True,
        )
    ),
]
Serving = Callable[..., LabelServer]


@pytest.fixture(scope="module")
def server(labelling: Serving) -> LabelServer:
    """A server of a few sentences, for tests that don't mind where others stopped."""
    return labelling(SENTENCES, TYPES)


def test_every_key_does_what_it_says(labelling: Serving, visit: Visit) -> None:
    server = labelling(SENTENCES[:1] + [f"{n} x" * 3 for n in range(3)], TYPES)
    page = visit(server).open("label")
    for _ in range(9):
        if page.text() == SENTENCES[0]:
            break
        page.after(lambda: page.press("Space"))
    assert page.text() == SENTENCES[0]
    page.press("2", "ArrowRight", "Shift+ArrowRight", "1")  # Ada Lovelace
    assert page.marks() == [("Ada Lovelace", "person")]
    page.press("m")
    assert page.marks() == [("Ada Lovelace", "person")] * 2
    page.press("Escape")
    page.click(3)
    assert ("Paris", "person") in page.marks()  # the type stays chosen
    page.press("Control+z")
    page.shows(lambda: page.marks() == [("Ada Lovelace", "person")] * 2, "undone")
    page.press("2")
    page.drag(3, 4)  # the comma is never caught
    page.shows(lambda: ("Paris", "city") in page.marks(), "labelled")
    page.press("ArrowRight", "Backspace")
    page.shows(lambda: page.marks() == [("Paris", "city"), ("Ada Lovelace", "person")], "removed")
    page.press("c")
    page.tab.wait_for_selector(".around")
    page.press("?")
    assert "any number of steps" in page.tab.inner_text(".keys")
    page.press("Escape", "Enter")
    page.shows(server.labels, "saved")
    (row,) = server.labels()
    assert [(each["text"], each["type"]) for each in row["spans"]] == [("Paris", "city"), ("Ada Lovelace", "person")]
    page.shows(lambda: page.text() != SENTENCES[0], "the next")
    page.press("Control+z")
    page.shows(lambda: page.text() == SENTENCES[0] and page.marks() != [], "back")
    page.press("Control+z", "Control+z", "Control+z", "Control+z")
    page.shows(lambda: page.marks() == [], "all is undone")
    assert server.labels() == []
    page.after(lambda: page.press("x"))
    assert server.state()["counts"]["rejected"] == 1


def test_whole_words_are_taken_and_punctuation_alone_is_not(labelling: Serving, visit: Visit) -> None:
    text = "Pump T-104, (see P&ID-3/2) at 東京駅前."
    page = visit(labelling([text], TYPES)).open("label")
    pieces = "[...document.querySelectorAll('#sentence .word')]"
    number = int(page.tab.evaluate(f"{pieces}.find((each) => each.textContent.startsWith('10')).dataset.word"))
    page.word(number).dblclick()
    page.shows(lambda: page.marks() == [("T-104", "person")], "the whole word, without the comma")
    page.word(number).hover()
    page.shows(lambda: "".join(page.tab.locator(".over").all_text_contents()) == "104", "shaded to its last character")
    page.press("Home", "Shift+End", "2")
    page.shows(lambda: page.marks() == [(text[:-1], "city")], "all words")
    page.press("ArrowLeft", "Backspace", "Home", *["ArrowRight"] * 2, "2")
    page.tab.wait_for_selector("text=Punctuation alone")
    assert page.marks() == []
    page.press("ArrowUp", "3")
    page.shows(lambda: page.marks() == [("T-104", "ship")], "widened to the spaces")
    assert page.tab.locator("text=Punctuation alone").count() == 0
    page.word(number + 5).dblclick()  # of P&ID-3/2
    page.shows(lambda: ("P&ID-3/2", "ship") in page.marks(), "without the bracket")
    page.press("End", "ArrowLeft", "ArrowUp", "1")
    page.shows(lambda: ("前", "person") in page.marks(), "a word of a script without spaces stands alone")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_labels_name_stays_with_its_last_word(labelling: Serving, visit: Visit, width: int) -> None:
    server = labelling(["Ada " * 60, "Otto " * 60], ",".join(["person", *(f"type number {n}" for n in range(8))]))
    page = visit(server, viewport={"width": width, "height": 844}).open("label")
    for number in range(0, 24, 2):
        page.click(number)
        page.shows(lambda number=number: len(page.marks()) == number // 2 + 1, "labelled")  # type: ignore[misc]
    apart = page.tab.evaluate("""[...document.querySelectorAll('#sentence .entity')].filter((each) => {
        const word = [...each.querySelectorAll('.word')].pop().getBoundingClientRect();
        return each.querySelector('.tag').getBoundingClientRect().top > word.bottom;
    }).length""")
    assert apart == 0
    box = page.tab.locator("text=Edit types").bounding_box()
    assert 0 <= box["x"] <= width - box["width"]


def test_a_phone_shows_all_types_and_two_rows_of_answers(labelling: Serving, visit: Visit) -> None:
    server = labelling(SENTENCES, "customer,bike,part,workshop,price")
    page = visit(server, viewport={"width": 390, "height": 844}).open("label")
    bar = page.tab.locator(".types .bar").bounding_box()
    for chip in (each.bounding_box() for each in page.tab.locator(".types .chip").all()):
        assert chip["x"] + chip["width"] <= bar["x"] + bar["width"]
        assert chip["y"] + chip["height"] <= bar["y"] + bar["height"]
    rows = {each.bounding_box()["y"] for each in page.tab.locator(".answers button:visible").all()}
    assert len(rows) == 2


def test_enter_accepts_after_a_look_at_try_and_asks_for_types_if_there_are_none(
    labelling: Serving, visit: Visit
) -> None:
    server = labelling(SENTENCES)
    page = visit(server).open("label")
    page.tab.evaluate("localStorage.clear(); localStorage.setItem('seen', '1')")
    page.tab.reload()
    page.tab.wait_for_selector(".tour:has-text('Add types')")
    page.press("Enter")
    page.tab.fill("dialog .typerow:nth-child(1) .name", "ship")
    page.tab.click("dialog >> text=Save")
    page.tab.wait_for_selector(".tour:has-text('Choose a type')")
    assert server.state()["counts"]["accepted"] == 0
    page.tab.click("nav >> text=Try")
    page.tab.wait_for_selector(".try")
    page.tab.click("nav >> text=Label")
    page.shows(lambda: page.tab.evaluate("document.activeElement.id") == "sentence", "the sentence has the focus")
    page.after(lambda: page.press("Enter"))
    assert server.state()["counts"]["accepted"] == 1


def test_suggestions_are_taken_one_by_one_or_all(server: LabelServer, visit: Visit) -> None:
    page = visit(server).open("label")
    for _ in range(12):
        if page.marks(".suggested"):
            break
        page.after(lambda: page.press("Space"))
    suggested = page.marks(".suggested")
    assert suggested
    page.tab.locator(".suggested .type").first.click()
    page.shows(lambda: page.marks() == suggested[:1], "taken")
    assert page.tab.evaluate("document.activeElement.id") == "sentence"  # so that Enter is not for the label
    assert page.marks(".suggested") == suggested[1:]
    page.press("Control+z")
    page.shows(lambda: page.marks() == [], "undone")
    other = next(type_ for type_ in TYPES.split(",") if type_ != suggested[0][1])
    page.tab.click(f".types .chip:has-text('{other}')")
    page.tab.locator(".suggested .as").first.click()
    page.shows(lambda: page.marks() == [(suggested[0][0], other)], "taken as another type")
    page.press("Control+z")
    page.shows(lambda: page.marks() == [], "undone")
    page.press("a")
    page.shows(lambda: page.marks() == suggested, "all taken")
    page.press("Control+z")
    page.shows(lambda: page.marks(".suggested") == suggested, "undone")
    text = page.text()
    page.after(lambda: page.press("Shift+Enter"))
    (row,) = [each for each in server.labels() if each["text"] == text]
    assert [(each["text"], each["type"]) for each in row["spans"]] == suggested


def test_a_kill_loses_nothing_and_the_page_goes_on(labelling: Serving, visit: Visit) -> None:
    # pytest imports the conftest under a name of its own, so that isinstance would be False.
    server = cast("LabelProcess", labelling(SENTENCES, TYPES, process=True))
    page = visit(server, faults=True).open("label")
    text = page.text()
    page.click(0)
    page.shows(lambda: len(page.marks()) == 1, "labelled")
    page.shows(lambda: '"set"' in (server.work / "journal.jsonl").read_text(), "saved")
    server.stop(signal.SIGKILL)
    page.press("2")
    page.click(2)
    page.tab.wait_for_selector("text=nothing is lost")
    page.press("Enter")
    server.start()
    page.shows(server.labels, "saved after the server came back")
    (row,) = server.labels()
    assert (row["text"], len(row["spans"])) == (text, 2)
    page.shows(lambda: page.text() not in ("", text), "the next sentence")
    assert page.tab.locator("text=nothing is lost").count() == 0
    page.press("Control+z")
    page.shows(lambda: page.text() == text, "undone after the restart")


def test_held_keys_answer_once_and_hurried_ones_are_lost_for_no_sentence(labelling: Serving, visit: Visit) -> None:
    server = labelling(SENTENCES, TYPES)
    page = visit(server).open("label")
    text = page.text()
    for _ in range(5):
        page.tab.keyboard.down("Enter")
    page.tab.keyboard.up("Enter")
    page.shows(lambda: page.text() not in ("", text), "the next sentence")
    page.tab.wait_for_timeout(500)
    assert server.state()["counts"]["accepted"] == 1
    page.tab.evaluate("""async () => {
        for (const key of ["ArrowRight", "1", "Enter", "ArrowRight", "1", "Enter", "ArrowRight", "1", "Enter"]) {
            document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
            await new Promise((done) => setTimeout(done, 20));
        }
    }""")
    page.shows(lambda: server.state()["counts"]["accepted"] >= 2, "one more is accepted")
    assert server.state()["counts"]["accepted"] <= 4
    assert all(len(row["spans"]) == 1 for row in server.labels()[1:])


def test_two_tabs_do_not_overwrite_each_other(labelling: Serving, visit: Visit) -> None:
    server = labelling(SENTENCES, TYPES)
    one, two = visit(server).open("label"), visit(server, faults=True).open("label")
    text = one.text()
    assert text != two.text()
    one.after(lambda: one.press("Enter"))
    two.tab.click("summary:has-text('Labelled sentences')")
    two.tab.click(f".listed button:has-text({json.dumps(text)})")
    two.shows(lambda: two.text() == text, "opened in the other tab")
    one.press("Control+z")
    one.shows(lambda: one.text() == text, "opened here, too")
    one.click(0)
    one.shows(lambda: len(one.marks()) == 1, "labelled here")
    two.click(2)
    two.tab.wait_for_selector("text=changed in another tab")
    two.shows(lambda: two.marks() == one.marks(), "shown as it is now")


HOSTILE = [
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> is in Ulm",
    "\u202eRight to left mark\u202c and {{constructor}} in Bonn",
    "قال محمد إن القاهرة مدينة كبيرة جدا",
    "सचिन दिल्ली में रहते हैं",
    "👩‍👩‍👧 family met 👨‍🚀 in Kiel",
    "ผมอยู่ที่กรุงเทพมหานคร",
    "東京都に住んでいます",
    "word " * 500,
]


def test_hostile_text_stays_text_and_offsets_count_code_points(labelling: Serving, visit: Visit) -> None:
    server = labelling([*HOSTILE, "x" * 1_000_000], "constructor,__proto__,<b>bold</b>")
    assert server.state()["counts"]["sentences"] == len(HOSTILE)
    assert "left out" in server.state()["note"]
    page = visit(server).open("label")
    seen = []
    for _ in HOSTILE:
        seen.append(page.text())
        page.press("ArrowRight", "Escape", "ArrowRight", "1")
        page.shows(lambda: page.marks() and page.marks()[0][1] == "constructor", "labelled")
        page.press("Enter")
        page.shows(lambda: page.text() != seen[-1] or page.tab.locator(".done").count(), "the next sentence")
    assert sorted(seen) == sorted(each.strip() for each in HOSTILE)
    assert page.tab.evaluate("window.hacked") is None
    assert len(server.labels()) == len(HOSTILE)
    assert page.tab.locator("b").count() == 0


def test_alt_takes_whole_characters_and_touch_works(labelling: Serving, visit: Visit) -> None:
    server = labelling(["👩‍👩‍👧family met Ada", "Emma and Otto"], TYPES)
    page = visit(server).open("label")
    if "family" not in page.text():
        page.after(lambda: page.press("Space"))
    box = page.tab.locator("#sentence .word").first.bounding_box()
    page.tab.keyboard.down("Alt")
    page.tab.mouse.move(box["x"] + 3, box["y"] + box["height"] / 2)
    page.tab.mouse.down()
    page.tab.mouse.move(box["x"] + 6, box["y"] + box["height"] / 2)
    page.tab.mouse.up()
    page.tab.keyboard.up("Alt")
    page.shows(lambda: page.marks() == [("👩‍👩‍👧", "person")], "the family, and no part of it")
    phone = visit(server, has_touch=True, is_mobile=True, viewport={"width": 360, "height": 740})
    page.press("Enter")
    phone.tab.goto(f"{server.url}/#label")
    phone.tab.click("summary:has-text('Labelled sentences')")
    phone.tab.locator(".listed button").first.click()
    phone.tab.wait_for_selector("#sentence")
    before = len(phone.marks())
    phone.word(2).tap()
    phone.shows(lambda: len(phone.marks()) == before + 1, "a tap labels")


def test_types_are_made_on_the_page(labelling: Serving, visit: Visit) -> None:
    server = labelling(SENTENCES)
    page = visit(server).open("label")
    page.click(0)
    page.tab.fill("dialog .typerow:nth-child(1) .name", "captain")
    page.tab.fill("dialog .typerow:nth-child(1) .description", "who leads a ship")
    page.tab.fill("dialog .typerow:nth-child(2) .name", "captain")
    page.tab.click("dialog >> text=Save")
    assert "another's" in page.tab.inner_text("dialog .problem")
    page.tab.fill("dialog .typerow:nth-child(2) .name", "harbour")
    page.tab.fill("dialog .typerow:nth-child(2) .key", "h")
    page.tab.click("dialog >> text=Save")
    page.tab.wait_for_selector("dialog", state="detached")
    assert [(each["name"], each["key"]) for each in server.state()["types"]] == [("captain", "1"), ("harbour", "h")]
    page.press("ArrowRight", "h")
    page.shows(lambda: page.marks() == [(page.text().split()[0], "harbour")], "labelled by the key")
    page.faults.clear()  # the browser notes the refusal


def test_who_has_no_file_practises_on_the_sample(labelling: Serving, visit: Visit) -> None:
    server = labelling([])
    page = visit(server)
    page.tab.goto(f"{server.url}/#label")
    page.tab.click("text=Practise on a museum's notes")
    page.tab.wait_for_selector("#sentence")
    state = server.state()
    assert (state["counts"]["sentences"], len(state["types"])) == (110, 8)
    assert "the file" not in page.tab.inner_text(".about")


def test_two_hundred_types_are_found_by_typing(labelling: Serving, visit: Visit) -> None:
    server = labelling(SENTENCES, ",".join(f"type {n}" for n in range(200)))
    page = visit(server).open("label")
    page.press("ArrowRight", "/")
    page.tab.keyboard.type("type 157")
    page.press("Enter")
    page.shows(lambda: [type_ for _, type_ in page.marks()] == ["type 157"], "labelled")
    assert page.violations() == []


def test_files_are_loaded_and_labels_taken_away(labelling: Serving, visit: Visit, tmp_path: Path) -> None:
    server = labelling([], TYPES)
    page = visit(server)
    page.tab.goto(f"{server.url}/#label")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text"\n')
    (tmp_path / "good.conll").write_text("Ada B-person\nsaw O\nKiel B-city\n. O\n\n")
    page.tab.set_input_files("input[type=file]", tmp_path / "bad.jsonl")
    page.tab.wait_for_selector("text=bad.jsonl:2")
    page.tab.set_input_files("input[type=file]", tmp_path / "good.conll")
    page.tab.wait_for_selector("#sentence")
    assert page.marks(".suggested") in ([("Ada", "person"), ("Kiel", "city")], [])  # none, if it is of the test
    page.tab.click("summary:has-text('Load more')")
    page.tab.fill("#paste", "Emma met Otto in Ulm.\nKarl stayed.")
    page.tab.click("text=Add >> nth=-1")
    page.shows(lambda: server.state()["counts"]["sentences"] == 3, "pasted")
    page.click(0)
    page.press("Enter")
    page.shows(server.labels, "saved")
    page.tab.click("summary:has-text('Take the labels away')")
    page.tab.select_option(".learn select", "conll")
    with page.tab.expect_download() as downloaded:
        page.tab.click("text=Download")
    assert "B-person" in Path(downloaded.value.path()).read_text()
    page.faults.clear()  # the browser notes the refusal


def test_try_opens_with_the_projects_types_their_colours_and_a_sentence_not_shown_yet(
    labelling: Serving, visit: Visit
) -> None:
    server = labelling(SENTENCES, "person,city,ship: what sails")
    page = visit(server).open("try")
    page.tab.wait_for_selector(".filters .chip")
    chips = page.tab.locator(".labels .chip").all_inner_texts()
    assert [chip.split("\n")[0] for chip in chips] == ["person", "city", "ship: what sails"]
    assert page.tab.input_value("#text") == server.state()["example"] == SENTENCES[-1]
    colours = {each["name"]: each["colour"] for each in server.state()["types"]}
    for chip in page.tab.locator(".filters .chip").all():
        colour = chip.evaluate("(each) => each.style.getPropertyValue('--c')")
        assert colour == colours[chip.inner_text().split()[0]]


def test_what_is_found_is_filtered_and_copied(server: LabelServer, visit: Visit) -> None:
    page = visit(server, permissions=["clipboard-read", "clipboard-write"]).open("try")
    page.tab.wait_for_selector("mark.entity")
    page.tab.fill("#text", "Ada O'Neill saw “Paris” & <b>Rome</b>.")
    page.tab.click("button:has-text('Find entities')")
    untagged = "const one = document.querySelector('.reading').cloneNode(true); "
    untagged += "one.querySelectorAll('.tag').forEach((each) => each.remove()); one.textContent.trim()"
    page.shows(lambda: page.tab.evaluate(untagged) == "Ada O'Neill saw “Paris” & <b>Rome</b>.", "tagged")
    count = page.tab.locator("mark.entity").count()
    assert count > 0
    page.tab.locator(".filters .chip").first.click()
    assert page.tab.locator("mark.entity").count() < count
    page.tab.locator(".filters .chip").first.click()
    page.tab.fill(".slider input", "1")
    assert page.tab.locator("mark.entity").count() == 0
    page.tab.press(".slider input", "Home")
    assert page.tab.inner_text(".slider output") == "0.20", "the model leaves out what is less confident"

    def copied(form: str) -> str:
        page.tab.evaluate("navigator.clipboard.writeText('')")
        page.tab.click(f".copies >> text={form}")
        page.shows(lambda: page.tab.evaluate("navigator.clipboard.readText()"), f"copied as {form}")
        found: str = page.tab.evaluate("navigator.clipboard.readText()")
        return found

    spans = json.loads(copied("JSON"))["spans"]
    assert copied("CoNLL").count("B-") == len(spans)
    assert copied("HTML").count("<mark") == len(spans)
    assert "&#60;b&#62;" in copied("HTML")
    answer = subprocess.run(shlex.split(copied("curl")), capture_output=True, text=True, timeout=300, check=True)
    assert len(json.loads(answer.stdout)["results"][0]["spans"]) == len(spans)
    ran = subprocess.run(
        [sys.executable, "-c", copied("Python")], capture_output=True, text=True, timeout=300, check=True
    )
    assert len(ran.stdout.splitlines()) == len(spans)
    assert page.tab.locator(".stale").count() == 0
    page.tab.fill("#text", "Ada saw Rome.")
    page.tab.wait_for_selector(".stale .reading")
    assert "Neill saw" in copied("curl")  # what is shown was asked so
    page.tab.click("button:has-text('Find entities')")
    page.tab.wait_for_selector(".stale", state="detached")
    page.tab.fill(".labels input", "monument: what is visited")
    page.tab.keyboard.press("Enter")
    assert "monument: what is visited" in page.tab.inner_text(".labels")
    page.tab.fill("#text", "x" * 200_000)
    page.tab.wait_for_selector("text=131,072")


@pytest.mark.parametrize(("theme", "width"), [("light", 360), ("dark", 768), ("light", 1280)])
def test_no_view_is_barred_or_too_wide(server: LabelServer, visit: Visit, theme: str, width: int) -> None:
    page = visit(server, color_scheme=theme, viewport={"width": width, "height": 740}, bypass_csp=True)
    page.open("label")
    page.press("?")
    for each in page.tab.locator(".learn summary").all():
        each.click()
    assert page.violations() == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.tab.evaluate(wide) <= 0
    page.tab.click("text=Edit types")
    assert page.violations() == []
    page.tab.keyboard.press("Escape")
    page.tab.wait_for_selector("dialog", state="detached")
    page.open("try").tab.wait_for_selector("mark.entity")
    assert page.violations() == []
    assert page.tab.evaluate(wide) <= 0


def test_a_training_says_how_far_it_is_and_few_sentences_give_no_curve(server: LabelServer, visit: Visit) -> None:
    line = "nerbert: fine-tuning: step 20 of 1,009, loss 0.2, 9,000 tokens/s, 1 min left"
    made = {"sentences": 10, "state": "done", "f1": 0.512, "low": 0.1, "high": 0.9, "commands": [], "tagger": "x"}
    shown = {"learning": {"sentences": 20, "seconds": 5.0, "line": line}, "rounds": [made | {"test_sentences": 9}]}

    def patch(route: Any) -> None:
        answer = route.fetch()
        content = answer.json()
        content.get("state", content).update(shown)
        route.fulfill(response=answer, json=content)

    page = visit(server)
    page.tab.route(re.compile(r"/label(/next)?$"), patch)
    page.open("label").tab.wait_for_selector("text=Learning from 20 sentences, step 20 of 1,009, 1 min left")
    assert page.tab.evaluate("(({ value, max }) => [value, max])(document.querySelector('progress'))") == [20, 1009]
    assert "F1 51 % so far, on 9 held-out sentences" in page.tab.inner_text(".learn")
    assert page.tab.locator(".learn figure").count() == 0
    shown["rounds"] = [made | {"test_sentences": 10}]
    page.tab.wait_for_selector(".learn figure >> text=51 %")
    page.tab.unroute_all(behavior="wait")


def test_the_tour_is_shown_once(server: LabelServer, visit: Visit) -> None:
    page = visit(server).open("label")
    assert page.tab.locator(".tour").count() == 0
    page.tab.evaluate("localStorage.clear(); localStorage.setItem('seen', '1')")
    page.tab.reload()
    for _ in range(4):
        page.tab.locator(".tour button").first.click()
    page.tab.wait_for_selector(".tour", state="detached")
    page.tab.reload()
    page.tab.wait_for_selector("#sentence")
    assert page.tab.locator(".tour").count() == 0


def test_a_late_refusal_asks_for_no_second_token(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    work = Labelling(LabelJob(folder=tmp_path / "work"))
    operations = label_routes(work)
    server = serve(access=Access(token="a-token-of-tests-only"), operations=operations, lifespan=work.run)
    page = visit(server, faults=True)
    late: list[Any] = []
    page.tab.route(re.compile("/models$"), lambda route: late.append(route), times=1)  # noqa: PLW0108
    page.tab.goto(f"{server.url}/#try")
    page.tab.fill("#token", "a-token-of-tests-only")
    page.tab.keyboard.press("Enter")
    late[0].continue_()  # its 401 comes after the token
    page.tab.wait_for_selector(".try")


def test_the_javascript_is_well_typed_and_small(tmp_path: Path) -> None:
    ours = sorted(PAGE.glob("*.js"))
    check_types(tmp_path, ours, broken="tour.js")
    assert sum(len(each.read_text().splitlines()) for each in ours) <= 1030
