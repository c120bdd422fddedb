"""Sorted spikes from and to other programs: Kilosort and phy, NWB units, UnitMatch, SpikeInterface.

None of these programs is needed to install or run Ranvier; SpikeInterface is imported where its objects are made.
"""
