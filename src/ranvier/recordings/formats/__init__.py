"""One module per file format: reader and, where it can be written, Sink."""
