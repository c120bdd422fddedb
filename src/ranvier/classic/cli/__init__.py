"""``radiens.cli``: the documented command line."""
