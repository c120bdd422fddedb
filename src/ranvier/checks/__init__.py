"""Behavioural suites that every reader, Sink and Stage passes; shipped so that a lab can test its own.

``pip install ranvier[checks]`` brings what the suites with random input need (hypothesis, pytest).
"""
