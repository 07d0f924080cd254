"""What processes use: CPU time, as the kernel accounts it with its own part, and memory."""
import os
import pathlib


def thread_ns(pid):
    """CPU time of each thread that it has now: {id: (name, nanoseconds)}."""
    out = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            out[task.name] = ((task / "comm").read_text().strip(), int((task / "schedstat").read_text().split()[0]))
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            pass
    return out


def cpu_ns(pid):
    """Of all of them."""
    return sum(ns for _, ns in thread_ns(pid).values())


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
