# Watch whether the system records, and act on its beginning and its end, as session loggers in the classic style do.
import sys
import threading
import time
from enum import Enum


class State(Enum):
    ON = "R_ON"
    OFF = "R_OFF"


class Watcher:
    def __init__(self, client):
        self.client = client
        self.seen = []
        self.base_names = []

    def poll(self):
        status = self.client.get_status()
        state = State(str(status.recording.mode))
        assert str(status.recording) == state.value
        if not self.seen or self.seen[-1] is not state:
            self.seen.append(state)
            if state is State.ON:
                self.base_names.append(status.recording.base_name)


def watch(watcher, done):
    while not done.is_set():
        watcher.poll()
        time.sleep(0.02)


def main():
    from radiens import AllegoClient

    client = AllegoClient()
    client.set_recording_config(sys.argv[1], "session", 7, False)
    watcher, done = Watcher(AllegoClient()), threading.Event()
    thread = threading.Thread(target=watch, args=(watcher, done))
    thread.start()
    time.sleep(0.3)
    client.set_recording("on")
    time.sleep(0.6)
    status = client.get_status()
    status.print("verbose")
    if status.stream.mode == "S_ON" and status.recording.dur_sec > 0:
        print("recording", status.recording.file_name.split("/")[-1], status.connected)
    client.set_recording("off")
    time.sleep(0.3)
    client.set_streaming("off")
    done.set()
    thread.join()
    print([state.name for state in watcher.seen], watcher.base_names)


main()
