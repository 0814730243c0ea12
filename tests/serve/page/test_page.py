"""The page of a server in a browser, without a package's view; its JavaScript, and vendored modules."""

import re
from pathlib import Path

import pytest

from nerbert.serve.app import Access
from tests.serve.conftest import Serve
from tests.serve.page.conftest import PAGE, Visit, check_types, modules
from tests.serve.servers import told

pytestmark = pytest.mark.extras


def test_try_opens_with_a_taggers_own_types_as_its_server_describes_them(serve: Serve, visit: Visit) -> None:
    server = serve(lambda gate: told(gate).with_labels(["ship: what sails", "port"]))
    page = visit(server)
    page.tab.goto(server.url)
    page.tab.wait_for_selector(".try")
    chips = page.tab.locator(".labels .chip").all_inner_texts()
    assert [chip.split("\n")[0] for chip in chips] == ["port", "ship"]
    assert page.tab.input_value("#text") == ""
    page.tab.fill("#text", "the ship lay")
    with page.tab.expect_request("**/tag") as asked:
        page.tab.click("button:has-text('Find entities')")
    assert "labels" not in asked.value.post_data_json
    page.tab.wait_for_selector("mark.entity:has-text('ship')")


def test_a_server_without_labelling_lets_one_try_and_asks_for_its_token(serve: Serve, visit: Visit) -> None:
    server = serve(access=Access(token="a-token-of-tests-only"))
    page = visit(server, faults=True)  # the browser notes the refusal
    page.tab.goto(server.url)
    page.tab.fill("#token", "a-token-of-tests-only")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector(".try")
    assert "nerbert label FILE" in page.tab.inner_text("header")
    page.tab.fill("#text", "the ship lay")
    page.tab.fill(".labels input", "ship, whole")
    page.tab.check("text=Entities inside others")
    page.tab.click("button:has-text('Find entities')")
    page.tab.wait_for_selector("mark.entity mark.entity")  # the told model marks the sentence, and the ship in it
    assert page.tab.inner_text("mark.entity mark.entity").startswith("ship")


def test_the_javascript_is_well_typed_and_small(tmp_path: Path) -> None:
    check_types(tmp_path, [], broken="try.js")
    ours = [each for each in PAGE.glob("*.js") if not each.name.startswith(("preact", "htm"))]
    assert sum(len(each.read_text().splitlines()) for each in ours) <= 700


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("preact.js", "preact/dist/preact.mjs"),
        ("preact-hooks.js", "preact/hooks/dist/hooks.mjs"),
        ("htm.js", "htm/dist/htm.module.js"),
    ],
)
def test_vendored_modules_are_those_of_their_packages(name: str, source: str) -> None:
    whole = (modules() / source).read_text()
    vendored = (PAGE / name).read_text()
    assert vendored == re.sub(r"//# sourceMappingURL=.*", "", whole)
