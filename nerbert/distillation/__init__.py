"""Teacher + texts → student: the entities that an open tagger finds in texts train a small tagger of fixed types."""
