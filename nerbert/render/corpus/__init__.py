"""A corpus shown: as one HTML page, as JSON, and as the data card that goes with it.

All three are made from one overview (`overview.py`), so they can't disagree.
"""

from nerbert.render.corpus.card import write_card
from nerbert.render.corpus.overview import make_overview
from nerbert.render.corpus.page import write_page

__all__ = ["make_overview", "write_card", "write_page"]
