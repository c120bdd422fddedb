# Look at signal metrics while it streams, and choose the channels to trust, as set-up scripts in the classic style do.
import time

import numpy as np

from radiens import AllegoClient
from radiens.utils.enums import MetricID, MetricMode, MetricName

client = AllegoClient()
client.restart("sim-spikes")
metrics = client.signal_metrics()
metrics.set_packet_duration(0.2)
client.set_streaming("on")
time.sleep(1.5)
metrics.set_event_threshold_level(neg_thr=5, pos_thr=5, scale="sd")
time.sleep(0.6)
status = metrics.get_metrics_status()
status.print()
wanted = [MetricID(mode=MetricMode.BASE, name=MetricName.NOISE_UV), MetricID(MetricMode.BASE, MetricName.EVENT_RATE)]
found = metrics.get_metrics(3, metrics=wanted)
found.print()
noise = np.nanmedian(found.val[:, :, 0], axis=0)
good = [ntv for ntv, uv in zip(found.ntv_idxs, noise) if 0 < uv < 100]
client.set_streaming("off")
print(status.attributes["packet_dur_sec"], found.metric_ids == wanted, len(good), np.nansum(found.val[:, :, 1]) > 0)
