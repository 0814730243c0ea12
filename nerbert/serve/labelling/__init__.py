"""Label sentences in the browser: a project on the disk, which sentence comes next, and taggers trained meanwhile."""
