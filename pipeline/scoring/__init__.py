"""Scoring: the pictures of a session or a folder, shown to recognizers; answers, kept and counted."""
