"""One acquisition system: a source of samples, a cache, a recorder, outputs, triggers, live consumers."""
