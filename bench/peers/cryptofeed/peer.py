"""Replays recorded sessions of Binance through cryptofeed's own handlers, with
books, trades and tickers on and callbacks that do nothing.

    python cryptofeed_peer.py FOLDER_WITH_CAPTURES [LAPS]

Prints a line of markdown a session: processor time a frame, the least and the
median of the laps. cryptofeed knows aggregated trades alone, so that a trade's
frame is renamed before the time is taken; a snapshot is the recorded answer.
"""
import asyncio
import gzip
import json
import logging
import statistics
import sys
import time

from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance, BinanceDelivery, BinanceFutures
from cryptofeed.symbols import Symbols

logging.getLogger("feedhandler").setLevel(logging.CRITICAL)

SESSIONS = [
    ("binance-spot", "binance-spot-btcusdt-20240808.gz", Binance, "BTC-USDT", "BTCUSDT"),
    ("binance-usdm", "binance-usdm-btcusdt-20240808.gz", BinanceFutures, "BTC-USDT-PERP", "BTCUSDT"),
    ("binance-coinm", "binance-coinm-btcusd_perp-20240808.gz", BinanceDelivery, "BTC-USD-PERP", "BTCUSD_PERP"),
]


def read(path):
    """The frames of a session, and its snapshot."""
    frames, snapshot = [], None
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            stamp, tag, payload = line.rstrip("\n").split(" ", 2)
            if tag == "rest":
                snapshot = payload.split(" ", 1)[1]
            elif tag == "text":
                if '"e":"trade"' in payload:
                    payload = payload.replace('"e":"trade"', '"e":"aggTrade"').replace('"t":', '"a":')
                frames.append((payload, int(stamp) / 1e9))
    return frames, snapshot


class Snapshot:
    """Stands in for HTTP."""

    def __init__(self, text):
        self.text, self.asked = text, 0

    async def read(self, address):
        self.asked += 1
        return self.text


async def nothing(data, receipt_timestamp):
    pass


async def lap(exchange, symbol, venue_symbol, frames, snapshot):
    feed = exchange(symbols=[symbol], channels=[L2_BOOK, TRADES, TICKER], callbacks={L2_BOOK: nothing, TRADES: nothing, TICKER: nothing})
    feed.http_conn = Snapshot(snapshot)
    feed._reset()
    before = time.process_time()
    for text, stamp in frames:
        await feed.message_handler(text, None, stamp)
    took = time.process_time() - before
    if feed.http_conn.asked > 3:
        print(f"warning: the book was lost {feed.http_conn.asked - 1} times", file=sys.stderr)
    return took * 1e9 / len(frames)


def main():
    laps = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for venue, name, exchange, symbol, venue_symbol in SESSIONS:
        Symbols.set(exchange.id, {symbol: venue_symbol}, {"instrument_type": {symbol: "perpetual"}})
        frames, snapshot = read(f"{sys.argv[1]}/captures/{name}")
        took = [asyncio.run(lap(exchange, symbol, venue_symbol, frames, snapshot)) for _ in range(laps)]
        print(f"| cryptofeed, session/recorded/{venue} | frame | {statistics.median(took) / 1000:.1f} µs | {min(took) / 1000:.1f} µs at the least |")


main()
