"""The page, picture and guide of the quickstart."""
