"""Suite + cells → tables: on the terminal, Markdown, LaTeX, CSV, HTML."""
