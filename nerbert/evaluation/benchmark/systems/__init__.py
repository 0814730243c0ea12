"""The systems that a benchmark compares: fine-tuned by nerbert, zero-shot, found by what was seen, a command."""
