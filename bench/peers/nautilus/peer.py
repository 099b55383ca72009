"""Takes a recorded session of Binance through the websocket handler of
nautilus_trader's data clients, books into its OrderBook. What they would hand to
a data engine and its bus is counted here instead.

    python peer.py CAPTURE VENUE MARKET PASSES

The snapshot comes where it was recorded, by the client's own way of asking. Its
client of futures knows aggregated trades alone, so that a trade's frame is renamed
there before the time is taken.
"""
import asyncio
import pathlib
import sys
from importlib.metadata import version

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
from session import Done, processor_seconds, read, tell

import msgspec
from nautilus_trader.adapters.binance.common.enums import BinanceAccountType
from nautilus_trader.adapters.binance.common.schemas.market import BinanceDepth
from nautilus_trader.adapters.binance.config import BinanceDataClientConfig
from nautilus_trader.adapters.binance.futures.data import BinanceFuturesDataClient
from nautilus_trader.adapters.binance.http.client import BinanceHttpClient
from nautilus_trader.adapters.binance.spot.data import BinanceSpotDataClient
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDeltas, QuoteTick, TradeTick
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import TraderId

KINDS = {
    "binance-spot": (BinanceSpotDataClient, BinanceAccountType.SPOT),
    "binance-usdm": (BinanceFuturesDataClient, BinanceAccountType.USDT_FUTURES),
    "binance-coinm": (BinanceFuturesDataClient, BinanceAccountType.COIN_FUTURES),
}


class Snapshot:
    """Stands in for the market's HTTP interface; answers when it is told to."""

    def __init__(self, text):
        self.text, self.come = text, asyncio.Event()

    async def request_order_book_snapshot(self, instrument_id, limit, ts_init):
        await self.come.wait()
        return msgspec.json.decode(self.text, type=BinanceDepth).parse_to_order_book_snapshot(instrument_id=instrument_id, ts_init=ts_init)


async def run(venue, market, frames, snapshot, at):
    base, account = KINDS[venue]
    done, books = Done(), {}

    class Client(base):
        def _handle_data(self, data):
            if isinstance(data, OrderBookDeltas):
                books[data.instrument_id].apply_deltas(data)
                done.books += 1
            elif isinstance(data, TradeTick):
                done.trades += 1
            elif isinstance(data, QuoteTick):
                done.quotes += 1

    loop, clock = asyncio.get_running_loop(), LiveClock()
    bus = MessageBus(trader_id=TraderId("PEER-001"), clock=clock)
    client = Client(loop=loop, client=BinanceHttpClient(clock=clock, api_key="", api_secret="", base_url="http://127.0.0.1:1"),
                    msgbus=bus, cache=Cache(), clock=clock, instrument_provider=InstrumentProvider(), base_url_ws="ws://127.0.0.1:1",
                    config=BinanceDataClientConfig(), account_type=account)
    instrument = client._get_cached_instrument_id(market)
    books[instrument] = OrderBook(instrument, BookType.L2_MBP)
    client._http_market = Snapshot(snapshot)
    client._book_depths[instrument] = 1000
    asked = loop.create_task(client._order_book_snapshot_then_deltas(instrument))
    await asyncio.sleep(0)
    before = processor_seconds()
    for i, raw in enumerate(frames):
        if i == at:
            client._http_market.come.set()
            await asked
        client._handle_ws_message(raw)
    took = processor_seconds() - before
    done.books -= 1  # the snapshot
    book = books[instrument]
    done.bid = (book.best_bid_price(), book.best_bid_size())
    done.ask = (book.best_ask_price(), book.best_ask_size())
    return took, done


def aggregated(frame):
    if b'"e":"trade"' not in frame:
        return frame
    head, tail = frame.split(b'"t":', 1)
    trade, tail = tail.split(b",", 1)
    return head.replace(b"@trade", b"@aggTrade").replace(b'"e":"trade"', b'"e":"aggTrade"') + b'"a":%b,"f":%b,"l":%b,' % (trade, trade, trade) + tail


def main():
    capture, venue, market, passes = sys.argv[1:]
    recorded, snapshot, at = read(capture)
    frames = [payload if venue == "binance-spot" else aggregated(payload) for payload, _ in recorded]
    tell("nautilus_trader", version("nautilus_trader"), venue, len(frames), int(passes),
         lambda: asyncio.run(run(venue, market, frames, snapshot, at)))


main()
