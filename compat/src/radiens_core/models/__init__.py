"""The documented models, enums and ``Flex*`` argument types."""

from ranvier.models import *  # noqa: F403
