#!/usr/bin/env python3
"""Many HTTP listeners of one Icecast mount in one process: reads all, counts Ogg pages, keeps nothing.

  icecast_listeners.py HOST PORT MOUNT LISTENERS

A line on standard input is answered by one: {"connected": …, "pages": …, "bytes": …}, since the start."""
import json
import selectors
import socket
import sys
import time

CAPTURE = b"OggS"
PAUSE = 0.005  # Icecast's listen queue is five long, and who finds it full tries again after a second


class Listener:
    def __init__(self, address, mount):
        self.socket = socket.create_connection(address)
        self.socket.sendall(f"GET {mount} HTTP/1.0\r\nUser-Agent: bench\r\n\r\n".encode())
        self.socket.setblocking(False)
        self.tail = b""
        self.heard = False

    def read(self, counts):
        """False: it has ended."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return True
        if not data:
            return False
        if not self.heard:
            self.heard = True
            counts["connected"] += 1
        counts["bytes"] += len(data)
        data = self.tail + data
        counts["pages"] += data.count(CAPTURE)
        self.tail = data[-3:]  # shorter than what is counted
        return True


def main():
    host, port, mount, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    counts = {"connected": 0, "pages": 0, "bytes": 0}
    selector = selectors.EpollSelector()
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    for _ in range(count):
        listener = Listener((host, port), mount)
        selector.register(listener.socket, selectors.EVENT_READ, listener)
        time.sleep(PAUSE)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                if not sys.stdin.readline():
                    return
                print(json.dumps(counts), flush=True)
            elif not key.data.read(counts):
                selector.unregister(key.fileobj)
                key.fileobj.close()
                counts["connected"] -= 1


main()
