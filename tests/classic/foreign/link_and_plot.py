# Link a recording, draw its first channels and their spectrum, as lab scripts in the classic style do.
import sys

import matplotlib.pyplot as plt
import numpy as np

from radiens import VidereClient
from radiens.utils.enums import SignalType
from radiens.utils.util import make_signal_selector

vc = VidereClient()
meta = vc.link_data_file(sys.argv[1])
fs = meta.TR.fs
t0 = meta.time_range.sec[0]
sites = meta.channel_metadata.index(SignalType.AMP).ntv[:4]
sigs = vc.signals().get_signals(
    time_range=[t0, t0 + 0.5], sig_sel=make_signal_selector(amp=sites), dataset_metadata=meta
)
psd = vc.signals().get_psd(
    [t0, t0 + 1.0], sig_sel=make_signal_selector(amp=sites), samp_freq=None, freq_range=[1, 3000], dataset_metadata=meta
)

fig, (traces, spectrum) = plt.subplots(2, 1, figsize=(8, 6))
time_axis = np.arange(sigs.signals.amp.shape[1]) / fs + sigs.time_range.sec[0]
for row, site in enumerate(sites):
    traces.plot(time_axis, sigs.signals.amp[row] - 200 * row, lw=0.5, label="site %d" % site)
traces.set_xlabel("time (s)")
traces.set_ylabel("uV")
traces.legend()
spectrum.semilogy(psd.frequencies, psd.psd.T)
spectrum.set_xlabel("Hz")
plt.savefig(sys.argv[2])
plt.show()

print(meta.base_name, fs, sigs.signals.amp.shape, psd.psd.shape == (len(sites), len(psd.frequencies)))
print(len(traces.lines), traces.lines[0].get_xdata()[0], spectrum.lines[0].get_xdata().max() <= 3000)
vc.clear_dataset(dataset_id=meta.id)
