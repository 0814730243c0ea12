"""The systems that a benchmark compares: fine-tuned by nerbert, zero-shot, or a command."""
