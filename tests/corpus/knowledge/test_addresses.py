"""The table of addresses, and the options that choose from it."""

from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.dump.sites import editions, wiki_codes
from nerbert.corpus.knowledge.addresses import list_addresses
from nerbert.errors import SettingsError
from nerbert.sources.download import fetch
from tests.raised import raises
from tests.sources.web_server import ONTOLOGY


def test_addresses_of_a_date() -> None:
    for date in ("2022.12.01", "20221201", "2022-12-01"):
        found = list_addresses("de", date, ("dump:2022-12-01", "wikidata:2022.12.07"))
        assert found == list_addresses("de", "2022.12.01", ("dump:20221201", "wikidata:20221207"))
    assert [each.address.split("/", 3)[3] for each in found] == [
        "dbpedia/extraction-framework/master/ontology.xml",
        "dbpedia/extraction-framework/master/mappings/Mapping_de.xml",
        "repo/dbpedia/mappings/instance-types/2022.12.01/instance-types_lang=de_specific.ttl.bz2",
        "repo/dbpedia/generic/disambiguations/2022.12.01/disambiguations_lang=de.ttl.bz2",
        "dewiki/20221201/dewiki-20221201-pages-articles-multistream.xml.bz2",
        "wikidatawiki/entities/20221207/wikidata-20221207-all.json.gz",
    ]
    assert list_addresses("be-tarask", also=("dump",))[4].name.startswith("be_x_oldwiki-")
    assert list_addresses("nb", also=("dump",)) == list_addresses("no", also=("dump",))


@pytest.mark.parametrize("language", ["nb", "zh-yue", "yue", "be-tarask", "nds-nl", "gsw"])
def test_what_is_fetched_for_a_wiki_is_what_its_build_takes(language: str) -> None:
    mapping, dump = (list_addresses(language, also=("dump",))[place].name for place in (1, 4))
    wiki = dump.partition("-")[0]
    assert mapping.removeprefix("Mapping_").removesuffix(".xml") in editions(wiki, language)
    assert wiki_codes(wiki, language) == wiki_codes("", language)


def test_wikidata_has_lists_beside_it_unless_the_newest_is_meant() -> None:
    (newest,) = list_addresses("en", also=("wikidata",))[4:]
    assert [newest] == list_addresses("en", "2021.09.01", also=("wikidata:latest",))[4:]
    assert newest.address.endswith("/wikidatawiki/entities/latest-all.json.gz")
    assert newest.sums == ""
    (dated,) = list_addresses("en", also=("wikidata:20261021",))[4:]
    assert dated.sums == f"{dated.address.rpartition('/')[0]}/wikidata-20261021-sha1sums.txt"


@pytest.mark.parametrize(
    "arguments",
    [
        ("../../etc",),
        ("",),
        ("EN",),
        ("en", "2022.13.01"),
        ("en", "2022.1201"),
        ("en", "latest"),
        ("en", "../x"),
        ("en", "2022.12.01", ("else",)),
        ("en", "2022.12.01", ("dump:soon",)),
        ("en", "٢٠٢٢١٢٠١"),
        ("en", "2022.12.01", ("dump:20221201", "dump:2022.12.01")),
    ],
)
def test_bad_options_are_refused(arguments: tuple[Any, ...]) -> None:
    with raises(SettingsError, "--"):
        list_addresses(*arguments)


@pytest.mark.parametrize(
    "mirror",
    [
        "file:///x",
        "ftp://x",
        "//x",
        "x",
        "http://",
        "http://a:b@c",
        "http://x?y",
        "http://x#y",
        "http://x y",
        "http://[",
        "http://x:y",
        "http://ü",
    ],
)
def test_bad_mirrors_are_refused(tmp_path: Path, mirror: str) -> None:
    with raises(SettingsError, "--mirror"):
        list(fetch([ONTOLOGY], tmp_path / "out", mirror))
    assert not (tmp_path / "out").exists()
