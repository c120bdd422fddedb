"""The documented exceptions, and those that Ranvier adds below them."""

from ranvier.exceptions import *  # noqa: F403
