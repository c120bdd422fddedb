# Collect what came since the last call, piece by piece, as monitoring scripts in the classic style do.
import sys
import time

import numpy as np

from radiens import AllegoClient

client = AllegoClient()
client.restart("sim-sine")
client.set_sampling_freq(20000)
client.set_streaming("on")
fs = client.get_status().sample_freq
n_rows = client.get_channel_metadata().num_sigs_total()

client.set_time_to_cache_head()
pieces, edges = [], []
while sum(piece.shape[1] for piece in pieces) < fs:
    time.sleep(0.1)
    signals, time_range = client.get_signals()
    if signals.shape[1] > 0:
        pieces.append(signals)
        edges.append(time_range)
client.set_streaming("off")

together = np.concatenate(pieces, axis=1)
np.savez(sys.argv[1], signals=together, edges=edges, fs=fs)
gaps = [abs(later[0] - earlier[1]) for earlier, later in zip(edges[:-1], edges[1:])]
print(fs, together.dtype, together.shape[0] == n_rows, len(pieces) > 1, max(gaps) < 0.5 / fs)
print(round((edges[-1][1] - edges[0][0]) * fs) == together.shape[1])
