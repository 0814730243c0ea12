"""The page of an encoder's clusters."""

from pathlib import Path
from xml.etree import ElementTree as ET

from nerbert.encoder.objectives.cluster_typing.cluster_map import ClusterMap, MapCluster, MapPoint
from nerbert.render.cards import write_cluster_page


def test_a_page_shows_texts_as_they_are(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script> & \x07"
    points = [MapPoint(0.0, 0.5, 1, bad, "ship"), MapPoint(1.0, 1.0, 9, "Oslo", "")]
    clusters = [MapCluster(1, 3, ["ship"], [bad]), MapCluster(9, 1, [], [])]
    write_cluster_page(tmp_path / "c.html", ClusterMap(clusters, points))
    page = (tmp_path / "c.html").read_text()
    assert "<script" not in page
    drawing = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    circles = drawing.findall("circle")
    assert [each.findtext("title") for each in circles] == ["1: <script>alert(1)</script> & \\x07 (ship)", "9: Oslo"]
    assert [each.get("class") for each in circles] == ["c1", "c1"]
    assert [(each.get("x"), each.text) for each in drawing.findall("text")] == [("16.0", "1"), ("844.0", "9")]
    assert "4 mentions of held-out sentences in 2 clusters" in page
