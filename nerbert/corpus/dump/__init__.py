"""Dump → pages: opening, cutting and parsing MediaWiki exports."""
