"""The documented module ``radiens.lib.allego_lib``."""

from ranvier.classic.lib.allego_lib import *  # noqa: F403
