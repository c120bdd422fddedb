# Filter and convert every recording of a folder, as lab scripts in the classic style do.
import sys
from pathlib import Path

from radiens import CurateClient

folder = Path(sys.argv[1])
client = CurateClient()
streams = []
for source in sorted(folder.glob("*_data.xdat")):
    base = source.name.replace("_data.xdat", "")
    streams.append(client.dsp_band_pass_filter(300, 5000, folder / base, folder / "out" / (base + "_bp"), force=True))
for stream_id in streams:
    client.progress_bar(stream_id)
for source in sorted((folder / "out").glob("*_data.xdat")):
    base = source.name.replace("_data.xdat", "")
    stream_id = client.file_convert(folder / "out" / base, folder / "out" / base, "nwb")
    while client.dsp_progress(stream_id) < 1.0:
        pass
client.dsp_clean_up()
print(len(streams), client.dsp_stream)
