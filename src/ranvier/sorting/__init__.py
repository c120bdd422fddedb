"""Spike sorting: candidates, features, clusters, templates and matching; one algorithm for files and live streams."""
