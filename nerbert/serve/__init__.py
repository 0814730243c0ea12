"""Taggers behind HTTP: a queue, worker threads, and the protocols that clients speak; and a client of our own."""
