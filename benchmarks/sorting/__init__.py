"""The measure of spike sorting: recordings whose truth is known, scores, peers. See ``benchmarks/README.md``."""
