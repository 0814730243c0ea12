"""A corpus shown: as one HTML page, as JSON, and as the data card that goes with it.

All three are made from one overview (`overview.py`), so they can't disagree.
"""

from nerbert.corpus.page.card import write_card
from nerbert.corpus.page.overview import make_overview
from nerbert.corpus.page.page import write_page

__all__ = ["make_overview", "write_card", "write_page"]
