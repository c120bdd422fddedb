# Stimulate when a channel crosses a threshold, as closed-loop scripts in the classic style do.
import time

import numpy as np

from radiens import AllegoClient
from radiens.utils.enums import SignalType

CHANNEL, STIM_CHANNEL, MOST, KEY = 0, 4, 3, 1

client = AllegoClient()
client.restart("sim-spikes")
client.set_stim_params(
    {
        "stim_sys_chan_idx": STIM_CHANNEL,
        "stim_shape": "BIPHASIC",
        "first_phase_duration_us": 200,
        "second_phase_duration_us": 200,
        "first_phase_amplitude_uA": 10,
        "second_phase_amplitude_uA": 10,
        "trigger_source_is_keypress": True,
        "trigger_source_idx": KEY,
        "enabled": True,
    }
)
print(client.get_stim_params()[STIM_CHANNEL]["first_phase_amplitude_uA"])
client.set_streaming("on")
client.set_time_to_cache_head()
time.sleep(0.5)
baseline, _ = client.get_signals()
row = client.get_channel_metadata().index(SignalType.AMP).ntv.index(CHANNEL)
threshold = -3 * np.median(np.abs(baseline[row])) / 0.6745

delivered = 0
until = time.time() + 20
while delivered < MOST and time.time() < until:
    chunk, (start, end) = client.get_signals()
    if chunk.shape[1] and chunk[row].min() < threshold:
        client.set_manual_stim_trigger(KEY)  # down
        client.set_manual_stim_trigger(KEY)  # up
        delivered += 1
    time.sleep(0.05)
time.sleep(0.2)
client.set_streaming("off")
client.set_stim_params({"stim_sys_chan_idx": STIM_CHANNEL, "enabled": False})
print(threshold < 0, delivered, client.get_status().stream.mode)
