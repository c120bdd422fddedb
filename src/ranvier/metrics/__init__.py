"""What channels are like: RMS, noise, saturation, and which of them are dead, saturated or noisy.

Imported when used: it loads Numba.
"""

from ranvier.metrics.measuring import measure
from ranvier.metrics.quality import channel_quality, quality_table
from ranvier.metrics.statistics import ChannelMeter, ChannelStatistics

__all__ = ["ChannelMeter", "ChannelStatistics", "channel_quality", "measure", "quality_table"]
