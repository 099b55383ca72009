"""Takes a recorded session of Binance through cryptofeed's own message handler,
with books, trades and tickers on and callbacks that count.

    python peer.py CAPTURE VENUE MARKET PASSES

cryptofeed knows aggregated trades alone, so that a trade's frame is renamed
before the time is taken; a snapshot is the recorded answer, which it asks for at
the first message of depth.
"""
import asyncio
import logging
import pathlib
import sys
from importlib.metadata import version

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
from session import Done, processor_seconds, read, tell

from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance, BinanceDelivery, BinanceFutures
from cryptofeed.symbols import Symbols

logging.getLogger("feedhandler").setLevel(logging.CRITICAL)

EXCHANGES = {
    "binance-spot": (Binance, "BTC-USDT"),
    "binance-usdm": (BinanceFutures, "BTC-USDT-PERP"),
    "binance-coinm": (BinanceDelivery, "BTC-USD-PERP"),
}


class Snapshot:
    """Stands in for HTTP."""

    def __init__(self, text):
        self.text, self.asked = text, 0

    async def read(self, address, **retries):
        self.asked += 1
        return self.text


async def run(exchange, symbol, frames, snapshot):
    done = Done()
    last = None

    async def trade(data, received):
        done.trades += 1

    async def ticker(data, received):
        done.quotes += 1

    async def book(data, received):
        nonlocal last
        done.books += 1
        last = data

    feed = exchange(symbols=[symbol], channels=[L2_BOOK, TRADES, TICKER], callbacks={L2_BOOK: book, TRADES: trade, TICKER: ticker})
    feed.http_conn = Snapshot(snapshot)
    feed._reset()
    before = processor_seconds()
    for text, stamp in frames:
        await feed.message_handler(text, None, stamp)
    took = processor_seconds() - before
    done.books -= feed.http_conn.asked  # snapshots
    done.bid, done.ask = last.book.bids.index(0), last.book.asks.index(0)
    return took, done


def main():
    capture, venue, market, passes = sys.argv[1:]
    exchange, symbol = EXCHANGES[venue]
    Symbols.set(exchange.id, {symbol: market}, {"instrument_type": {symbol: "perpetual"}})
    recorded, snapshot, _ = read(capture)
    frames = []
    for payload, stamp in recorded:
        text = payload.decode()
        if '"e":"trade"' in text:
            text = text.replace('"e":"trade"', '"e":"aggTrade"').replace('"t":', '"a":')
        frames.append((text, stamp / 1e9))
    tell("cryptofeed", version("cryptofeed"), venue, len(frames), int(passes), lambda: asyncio.run(run(exchange, symbol, frames, snapshot.decode())))


main()
