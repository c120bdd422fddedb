# Link a file, look at its metadata, unlink it, as lab scripts in the classic style do.
import sys

from radiens import VidereClient
from radiens.utils.enums import RadiensFileType, SignalType

client = VidereClient()
meta = client.link_data_file(sys.argv[1], calc_metrics=False)
print(meta.file_type == RadiensFileType.XDAT, meta.TR.sec, meta.TR.fs)
print(meta.channel_metadata.num_sigs(SignalType.AMP), meta.channel_metadata.index(SignalType.AMP).ntv[:3])
print(meta.table.loc["duration (sec)", "Value"])
same = client.get_data_file_metadata(dataset_idx=0)
print(same.id == meta.id, client.get_dataset_ids().loc[0, "base name"])
n, left = client.clear_dataset(dataset_id=meta.id)
print(n, list(left.columns), len(left))
