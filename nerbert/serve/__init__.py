"""Taggers behind HTTP: a queue, worker threads, the protocols of clients, and nerbert's own client."""
