"""``radiens.exceptions``: the documented kinds of error are names of our own."""
