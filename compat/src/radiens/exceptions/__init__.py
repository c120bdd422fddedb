"""The documented module ``radiens.exceptions``."""
