"""The documented module ``radiens.lib.sig_metrics``."""

from ranvier.classic.lib.sig_metrics import *  # noqa: F403
