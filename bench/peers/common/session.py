"""What the Python peers share: a capture in memory, passes over it, one line told."""
import time


def read(path):
    """The frames of a capture, each with its receive time in ns; the snapshot's
    text, and the index of the frame before which it came."""
    frames, snapshot, at = [], None, 0
    with open(path, "rb") as lines:
        for line in lines:
            if line.startswith(b"#"):
                continue
            stamp, tag, payload = line.rstrip(b"\n").split(b" ", 2)
            if tag == b"rest":
                snapshot, at = payload.split(b" ", 1)[1], len(frames)
            elif tag == b"text":
                frames.append((payload, int(stamp)))
    return frames, snapshot, at


class Done:
    """What a pass did: messages that came out, and the best prices and sizes at its end."""

    trades = quotes = books = 0
    bid = ask = ("-", "-")


def tell(name, version, venue, frames, passes, one):
    """Runs one() passes + 1 times; it returns processor seconds and Done. The first pass is not counted."""
    took, done = [], None
    for lap in range(passes + 1):
        seconds, done = one()
        if lap > 0:
            took.append(seconds * 1e6 / frames)
    print(name, version, venue, frames, ",".join(f"{t:.4f}" for t in took), done.trades, done.quotes, done.books, *done.bid, *done.ask, sep="\t")


def processor_seconds():
    """Of all threads, user and system."""
    return time.process_time()
