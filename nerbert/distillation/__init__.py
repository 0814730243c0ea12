"""Teacher + texts → student: what an open tagger finds in texts trains a small tagger of fixed types."""
