"""The content of a report on one or two taggers and annotated data: numbers, sentences; `nerbert.render` shows it."""
