"""Behavioural suites that every reader, Sink and Stage passes; shipped so that a lab can test its own.

:mod:`ranvier.checks.disks` has disks that lose power, stall, fill up and fail, for whatever writes recordings.

``pip install ranvier[checks]`` brings what the suites with random input need (hypothesis, pytest).
"""
