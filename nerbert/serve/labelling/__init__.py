"""Label sentences in the browser: a project on the disk, the order of sentences, and taggers trained in between."""
