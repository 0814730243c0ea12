"""What a report says of a tagger, or of two, on annotated data: numbers and sentences; `nerbert.render` shows them."""
