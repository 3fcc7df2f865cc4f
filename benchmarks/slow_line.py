"""A line with a delay, as a ProxyCommand of ssh: ``python slow_line.py HOST PORT SECONDS``.

Each byte arrives SECONDS later than it was sent, in both directions; the bandwidth stays.
"""

import os
import queue
import socket
import sys
import threading
import time


def carry(read, write, delay):
    waiting = queue.Queue()

    def deliver():
        while (item := waiting.get()) is not None:
            due, chunk = item
            time.sleep(max(0.0, due - time.monotonic()))
            write(chunk)

    threading.Thread(target=deliver, daemon=True).start()
    while chunk := read(65536):
        waiting.put((time.monotonic() + delay, chunk))
    waiting.put(None)


def main(host, port, delay):
    line = socket.create_connection((host, int(port)))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    away = threading.Thread(
        target=carry, args=(lambda size: os.read(0, size), line.sendall, delay), daemon=True
    )
    away.start()
    carry(line.recv, lambda chunk: os.write(1, chunk), delay)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
