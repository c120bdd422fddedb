"""Threshold events: one kernel for triggers, metrics and sorting."""

from ranvier.detect.threshold import Detections, DetectorState, ThresholdDetector

__all__ = ["Detections", "DetectorState", "ThresholdDetector"]
