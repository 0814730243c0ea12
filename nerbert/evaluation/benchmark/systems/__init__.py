"""The systems that a benchmark compares: fine-tuned by nerbert, zero-shot, seen mentions only, a command."""
