#!/usr/bin/env python3
"""Reads the shared memory of a tickproc on the same machine.

    python3 tickproc_shm.py DIR              trades and quotes, until the writer stops
    python3 tickproc_shm.py --words DIR      every message as numbers
    python3 tickproc_shm.py --images DIR     how each instrument stands, and ends

One file, Python 3.8 or later, no dependency. As a module:

    with Reader(directory) as r:
        ring = r.ring(0)
        while True:
            message = ring.next()
            if message is None: ...          # nothing now: sleep, look at r.alive()
            elif message.kind == TRADE: price, size = message.words[3:5]

The layout is that of docs/shm.md, version 1.

What Python can promise. A word is read in one piece: memoryview copies the 8
bytes of an item at once on every CPython there is. Nothing in the language says in
which order two words are read. On x86-64 the processor keeps the order of the
program, and the interpreter does not change it: what this file returns is whole.
On arm64 the processor may read ahead; the mark is looked at before and after each
copy, with thousands of instructions between, so that a torn message would be a
rarity, and not an impossibility. Where that is not good enough, use the reader in
C or Go.
"""
import mmap
import os
import struct
import sys
import time

VERSION = 1
TRADE, QUOTE, DEPTH, VALIDITY, BAR, WINDOW, GAP, NBBO, FUNDING, OPEN_INTEREST, LIQUIDATION, STATUS, INSTRUMENT, END = range(1, 15)
VALID, SELL, WHOLE, MORE, LATE, FINAL, COMPLETE = 4, 8, 8, 16, 16, 16, 32  # flags, by kind

STALE_NANOS = 3_000_000_000
_DIRECTORY_MAGIC, _RING_MAGIC = 0x524944504B434954, 0x474E49524B434954
_SLOTS_MAX, _WRITING, _MORE = 250, 0, 255
_TYPES = ("spot", "perpetual", "future", "option")


class ShmError(Exception):
    """What is wrong, and what to do about it."""


class NoMemory(ShmError):
    """Nobody ever wrote there."""


class OtherVersion(ShmError):
    """The writer's layout is another one."""


class Damaged(ShmError):
    """The files are not what a writer makes."""


class Stopped(ShmError):
    """The writer ended in order."""


class Replaced(ShmError):
    """A later writer has begun: open again."""


class Silent(ShmError):
    """The writer gives no sign of life."""


def signed(word):
    """The word as a signed integer: prices, sizes and times are."""
    return word - (1 << 64) if word >> 63 else word


def scaled(word, digits):
    """A scaled integer as decimal text."""
    v = signed(word)
    if not digits:
        return str(v)
    text = str(abs(v)).rjust(digits + 1, "0")
    return ("-" if v < 0 else "") + text[:-digits] + "." + text[-digits:]


class _Map:
    """A file, mapped to read."""

    def __init__(self, name, least):
        with open(name, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            if size < least or size % 8:
                raise Damaged("%s has %d bytes" % (name, size))
            self.map = mmap.mmap(f.fileno(), size, access=mmap.ACCESS_READ)
        self.size = size
        self.bytes = memoryview(self.map)
        self.words = self.bytes.cast("Q")

    def u32(self, at):
        return struct.unpack_from("<I", self.bytes, at)[0]

    def u64(self, at):
        return self.words[at // 8]

    def close(self):
        self.words.release()
        self.bytes.release()
        self.map.close()


class Message:
    """A copy of a message. words[0] is the head, words[1] the time of the event,
    words[2] when it was received; the others are by kind, see docs/shm.md."""

    __slots__ = ("position", "lost", "words")

    def __init__(self, position, lost, words):
        self.position, self.lost, self.words = position, lost, words

    kind = property(lambda self: self.words[0] & 0xFF)
    flags = property(lambda self: self.words[0] >> 8 & 0xFF)
    price_digits = property(lambda self: self.words[0] >> 16 & 0xFF)
    size_digits = property(lambda self: self.words[0] >> 24 & 0xFF)
    instrument = property(lambda self: self.words[0] >> 32)
    nanos = property(lambda self: signed(self.words[1]))
    receive_nanos = property(lambda self: signed(self.words[2]))

    def levels(self):
        """Bids and asks of a depth message, each (price, size); size 0 removes."""
        count = min(self.words[4] >> 16 & 0xFFFF, max(0, len(self.words) - 5) // 2)
        bids = min(self.words[4] & 0xFFFF, count)
        all_ = [(signed(self.words[5 + 2 * i]), signed(self.words[6 + 2 * i])) for i in range(count)]
        return all_[:bids], all_[bids:]


class Ring:
    """A place in a shard's messages."""

    def __init__(self, file):
        self._file = file
        self._mask = (file.size - 4096) // 64 - 1
        self._passed = 0
        self.lost = 0  # slots of 64 bytes that were overwritten unread
        self.join()

    def join(self):
        """Goes to the end: the next message is the first that comes from here on."""
        self.position = self._file.words[8]

    def _slot(self, position):
        return 512 + (position & self._mask) * 8

    def next(self):
        """The next message, None if there is none now."""
        words = self._file.words
        for _ in range(4):
            mark = words[self._slot(self.position)]
            position, what = mark >> 8, mark & 0xFF
            if position < self.position or position == self.position and what == _WRITING:
                return None
            if position == self.position and what <= _SLOTS_MAX:
                message = self._copy(what)
                if message is not None:
                    return message
            self._resume()
        return None

    def _copy(self, slots):
        words, all_ = self._file.words, []
        for i in range(slots):
            position = self.position + i
            at = self._slot(position)
            all_ += words[at + 1:at + 8].tolist()
            if words[at] != position << 8 | (_MORE if i else slots):
                return None
        message = Message(self.position, self._passed, all_)
        self.position, self._passed = self.position + slots, 0
        return message

    def _resume(self):
        """Who was overtaken goes on half a ring behind the writer."""
        words = self._file.words
        end = words[8]
        at = max(self.position, end - min(end, (self._mask + 1) // 2))
        while at < end:
            mark = words[self._slot(at)]
            if mark >> 8 == at and 0 < mark & 0xFF <= _SLOTS_MAX:
                break
            at += 1
        self.lost += at - self.position
        self._passed += at - self.position
        self.position = at


class Instrument:
    """One symbol of one venue."""


class Image:
    """How an instrument stands; words are those of docs/shm.md."""


class Reader:
    """A mapped epoch of a writer."""

    def __init__(self, directory):
        self._rings = []
        self._directory = None
        error = None
        for _ in range(5):  # a writer may be taking another's place
            try:
                self._open(directory)
                return
            except Replaced as e:
                self.close()
                error = e
            except Exception:
                self.close()
                raise
        raise error

    def _open(self, directory):
        name = os.path.join(directory, "directory")
        try:
            d = self._directory = _Map(name, 4096)
        except FileNotFoundError:
            raise NoMemory("there is no shared memory in %s: is the service running, with shm: on?" % directory) from None
        if d.u64(0) != _DIRECTORY_MAGIC:
            raise Damaged("%s does not begin as a directory does" % name)
        if d.u32(8) != VERSION:
            raise OtherVersion("%s has version %d, this reader knows %d" % (name, d.u32(8), VERSION))
        rings, self.levels, self.capacity = d.u32(56), d.u32(60), d.u32(64)
        self.epoch, self.pid = d.u64(16), d.u64(24)
        rings_at, self._instruments_at, self._images_at, self._image_size = d.u64(80), d.u64(88), d.u64(96), d.u64(104)
        if not (0 < rings <= 256 and 0 < self.levels <= 50 and 0 < self.capacity <= 1 << 20 and d.u32(68) == 256
                and self._image_size == 8 * ((24 + 4 * self.levels + 7) // 8 * 8) and d.u64(112) == d.size):
            raise Damaged("%s has sizes that are not this version's" % name)
        for at, size in ((rings_at, 64 * rings), (self._instruments_at, 256 * self.capacity), (self._images_at, self._image_size * self.capacity)):
            if at % 8 or at < 4096 or at + size > d.size:
                raise Damaged("%s has parts beyond its end" % name)
        state = d.u64(48)
        if state == 2:
            raise Stopped("the writer has stopped: %s" % directory)
        if state == 3:
            raise Replaced("a later writer has begun: %s" % directory)
        for i in range(rings):
            entry = bytes(d.bytes[rings_at + 64 * i:rings_at + 64 * i + 48]).split(b"\0")[0].decode("utf-8", "replace")
            if not entry or "/" in entry or entry == "..":
                raise Damaged("%s names no ring" % name)
            path = os.path.join(directory, entry)
            try:
                r = _Map(path, 4096)
            except FileNotFoundError:
                raise Replaced("%s is gone" % path) from None
            self._rings.append(r)
            slots = r.u64(32)
            if (r.u64(0) != _RING_MAGIC or r.u32(8) != VERSION or r.u64(16) != self.epoch or r.u32(24) != i or r.u32(12) != 4096 or r.u32(28) != 64
                    or not 1024 <= slots <= 1 << 30 or slots & (slots - 1) or r.size != 4096 + 64 * slots):
                raise Damaged("%s is not the ring that the directory means" % path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for m in self._rings + ([self._directory] if self._directory else []):
            m.close()
        self._rings, self._directory = [], None

    def alive(self):
        """None while the writer lives, else Stopped, Replaced or Silent."""
        d = self._directory
        state = d.u64(48)
        if state == 2:
            return Stopped("the writer has stopped")
        if state == 3:
            return Replaced("a later writer has begun: open again")
        if time.time_ns() - d.u64(40) > STALE_NANOS:
            return Silent("the writer gives no sign of life")
        return None

    def rings(self):
        return len(self._rings)

    def ring(self, shard):
        return Ring(self._rings[shard])

    def _locked(self, at, size):
        words, at = self._directory.words, at // 8
        for _ in range(1000):
            before = words[at]
            if before == 0:
                return None
            if before & 1:
                continue
            copy = words[at:at + size // 8].tolist()
            if words[at] == before:
                return copy
        return None

    def instrument(self, id_):
        """The definition of an id, None if there is none."""
        words = self._locked(self._instruments_at + 256 * id_, 256) if id_ < self.capacity else None
        if words is None:
            return None
        b = struct.pack("<32Q", *words)

        def text(at, n):
            return b[at:at + n].split(b"\0")[0].decode("utf-8", "replace")

        x = Instrument()
        x.id, x.shard = id_, b[12] | b[13] << 8
        x.type, x.inverse = _TYPES[b[14]] if b[14] < len(_TYPES) else "unknown", bool(b[15])
        x.price_digits, x.size_digits, x.state, x.channels, x.truncate = b[16], b[17], b[18], b[19], b[20] | b[21] << 8
        x.tick, x.lot, x.contract = (signed(words[3]), b[22]), (signed(words[4]), b[23]), (signed(words[5]), b[48])  # mantissa, digits
        x.expiry_nanos = signed(words[7])
        x.venue, x.base, x.quote, x.underlying, x.symbol = text(64, 24), text(88, 24), text(112, 24), text(136, 24), text(160, 64)
        return x

    def instruments(self):
        for id_ in range(min(self._directory.u64(72), self.capacity)):
            x = self.instrument(id_)
            if x is not None:
                yield x

    def image(self, id_):
        """How an instrument stands, None if nobody said."""
        words = self._locked(self._images_at + self._image_size * id_, self._image_size) if id_ < self.capacity else None
        if words is None:
            return None
        x = Image()
        x.words, x.position, x.valid, x.reason = words, words[1], bool(words[2] & 1), words[2] >> 8 & 0xFF
        x.price_digits, x.size_digits, x.last_id = words[2] >> 16 & 0xFF, words[2] >> 24 & 0xFF, words[5]

        def levels(at, n):
            return [(signed(words[at + 2 * i]), signed(words[at + 2 * i + 1])) for i in range(min(n, self.levels))]

        x.bids, x.asks = levels(24, words[7] & 0xFFFF), levels(24 + 2 * self.levels, words[7] >> 16 & 0xFFFF)
        return x


def _print_message(reader, m):
    x = reader.instrument(m.instrument) if m.kind in (TRADE, QUOTE) else None
    if x is None:
        return
    side = (" sell" if m.flags & SELL else " buy") if m.kind == TRADE else ""
    names = ("price", "size") if m.kind == TRADE else ("bid", "bid_size", "ask", "ask_size")
    values = " ".join("%s=%s" % (name, scaled(w, (m.price_digits, m.size_digits)[i % 2])) for i, (name, w) in enumerate(zip(names, m.words[3:])))
    print("%d %s %s %s%s %s" % (m.nanos, x.venue, x.symbol, "trade" if m.kind == TRADE else "quote", side, values))


def main(arguments):
    option = arguments[0] if len(arguments) == 2 else ""
    if len(arguments) not in (1, 2) or option not in ("", "--words", "--images"):
        print("usage: tickproc_shm.py [--words|--images] DIR", file=sys.stderr)
        return 2
    try:
        reader = Reader(arguments[-1])
    except ShmError as e:
        print("tickproc_shm: %s" % e, file=sys.stderr)
        return 3
    with reader:
        if option == "--images":
            for x in reader.instruments():
                i = reader.image(x.id)
                if i is not None:
                    sides = " | ".join(" ".join("%dx%d" % l for l in side) for side in (i.bids, i.asks))
                    print("%s %s %s position=%d last_id=%d bids=%d asks=%d %s" % (
                        x.venue, x.symbol, "valid" if i.valid else "invalid", i.position, i.last_id, len(i.bids), len(i.asks), sides))
            return 0
        rings = [reader.ring(i) for i in range(reader.rings())]
        print("following epoch %d" % reader.epoch, file=sys.stderr, flush=True)
        while True:
            ended = reader.alive()  # asked first: what a writer said before it stopped is there
            moved = False
            for shard, ring in enumerate(rings):
                for m in iter(ring.next, None):
                    moved = True
                    if m.lost:
                        print("lost %d slots" % m.lost, file=sys.stderr)
                    if option == "--words":
                        print(shard, m.position, *("%x" % w for w in m.words))
                    else:
                        _print_message(reader, m)
            if moved:
                continue
            sys.stdout.flush()
            if ended is not None:
                print("tickproc_shm: %s" % ended, file=sys.stderr)
                return 0 if isinstance(ended, Stopped) else 3
            time.sleep(0.001)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        # Who reads the output has seen enough; else Python complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
