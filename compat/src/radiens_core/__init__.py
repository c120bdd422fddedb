"""The documented import name `radiens_core`, on the Ranvier engine."""
