"""The contract between a face and an engine: small synchronous Protocols, one per concern.

Whoever wants to know what an engine must do reads this package. It holds no code that does anything: methods take and
return :mod:`ranvier.models` and NumPy arrays, and every implementation, embedded or remote, keeps what the docstrings
say. All methods may be called from any thread.

Words that hold in all services:

* **dataset_id** is the id that :meth:`HubDatasets.link` gave; an unknown one raises ``DatasetError``.
* **Time** is half-open ``[start, end)`` in stream seconds = sample counter / fs; a recording seldom starts at 0.
  A range partly outside is clipped and the served range returned; one wholly outside raises ``TimeRangeError``.
* **Channels** are native indices (NTV: position per signal type in the acquisition stream) unless a parameter says
  otherwise; results come in the order asked.
* **Units** are microvolts (AMP), volts (AIN) and 0/1 (DIN, DOUT).
* **progress** is called from the working thread with a ``JobProgress``; what it raises cancels the job.
* **force** replaces an output that exists; without it ``OutputExistsError``. Nothing stands under a final name before
  it is complete, and a source is never changed.

Which client method uses which service method, and which call of the vendor's wire that is, stands in
``docs/contract/services.md``.
"""

from ranvier.services.aligned import HubAligned
from ranvier.services.curation import HubCuration
from ranvier.services.datasets import HubDatasets
from ranvier.services.dsp import HubDsp
from ranvier.services.files import HubFiles
from ranvier.services.hub import Hub
from ranvier.services.jobs import HubJobs
from ranvier.services.metrics import HubMetrics
from ranvier.services.progress import Progress
from ranvier.services.protocols import HubProtocols
from ranvier.services.replays import HubReplays
from ranvier.services.sessions import HubSessions
from ranvier.services.signals import HubSignals, SignalBlock
from ranvier.services.simulation import HubSimulation
from ranvier.services.sorters import HubSorters
from ranvier.services.spectra import HubSpectra
from ranvier.services.spikes import HubSpikes
from ranvier.services.summa import HubSumma

__all__ = [
    "Hub",
    "HubAligned",
    "HubCuration",
    "HubDatasets",
    "HubDsp",
    "HubFiles",
    "HubJobs",
    "HubMetrics",
    "HubProtocols",
    "HubReplays",
    "HubSessions",
    "HubSignals",
    "HubSimulation",
    "HubSorters",
    "HubSpectra",
    "HubSpikes",
    "HubSumma",
    "Progress",
    "SignalBlock",
]
