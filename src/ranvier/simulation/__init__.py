"""Simulated recordings: pure functions of settings, seed and sample counter, with the truth about them."""

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.recording import RAIL_UV, SimulatedRecording
from ranvier.simulation.units import SimulatedUnit

__all__ = ["RAIL_UV", "SimulatedRecording", "SimulatedUnit", "SimulationSpec"]
