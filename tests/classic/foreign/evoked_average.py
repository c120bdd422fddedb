# Average the potential around the edges of a TTL line, as lab scripts in the classic style do.
import sys

import matplotlib.pyplot as plt
import numpy as np

from radiens import VidereClient

PRE_SEC, POST_SEC = 0.02, 0.05


def main(path, picture):
    vc = VidereClient()
    meta = vc.link_data_file(path, calc_metrics=False)
    fs = meta.TR.fs
    brain = vc.signals().get_signals(dataset_metadata=meta, sig_type="amp", ntv_idxs="all")
    ttl = vc.signals().get_signals(dataset_metadata=meta, sig_type="din", ntv_idxs="all")
    onsets = np.where(np.diff(ttl.signals.gpio_din[0]) > 0)[0] + 1
    pre, post = int(PRE_SEC * fs), int(POST_SEC * fs)
    epochs = []
    for onset in onsets:
        if onset - pre >= 0 and onset + post <= brain.signals.amp.shape[1]:
            epochs.append(brain.signals.amp[:, onset - pre : onset + post])
    average = np.mean(epochs, axis=0)
    average -= average[:, :pre].mean(axis=1, keepdims=True)

    axis_ms = (np.arange(average.shape[1]) - pre) / fs * 1000
    plt.plot(axis_ms, average.T)
    plt.axvline(0, color="red", linestyle="--")
    plt.xlabel("ms from TTL")
    plt.ylabel("uV")
    plt.savefig(picture)
    plt.show()

    channel, sample = np.unravel_index(np.argmin(average), average.shape)
    print(len(onsets), len(epochs), average.shape)
    print("trough %.0f uV on channel %d, %.1f ms after the pulse" % (average.min(), channel, axis_ms[sample]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
