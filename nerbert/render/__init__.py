"""Pages, cards, pictures and tables for people. Science imports nothing from here."""
