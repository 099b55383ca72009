//! Takes recorded sessions of Binance through barter-data's parser and
//! transformers, books through its OrderBook, and tells processor time a frame.
//!
//! It knows spot and USD-M; COIN-M's messages are of USD-M's form and go through
//! the same transformer. It subscribes each channel on a socket of its own, whose
//! messages have no envelope: the envelope is taken off beforehand, and so is
//! the finding out of which channel a message is.

use barter_data::{
    Identifier,
    books::OrderBook,
    error::DataError,
    event::MarketEvent,
    exchange::{
        binance::{
            book::{l1::BinanceOrderBookL1, l2::BinanceOrderBookL2Snapshot},
            channel::BinanceChannel,
            futures::{l2::BinanceFuturesUsdOrderBooksL2Transformer, BinanceFuturesUsd},
            spot::{l2::BinanceSpotOrderBooksL2Transformer, BinanceSpot},
            trade::BinanceTrade,
        },
        subscription::ExchangeSub,
        Connector,
    },
    subscription::{
        book::{OrderBookEvent, OrderBooksL1, OrderBooksL2},
        trade::PublicTrades,
        Map,
    },
    transformer::{stateless::StatelessTransformer, ExchangeTransformer},
};
use barter_integration::{
    protocol::{
        websocket::{WebSocketSerdeParser, WsMessage},
        StreamParser,
    },
    Transformer,
};
use futures::executor::block_on;
use std::{env, fs};

const KEY: u32 = 7;

enum Frame {
    Depth(WsMessage),
    Quote(WsMessage),
    Trade(WsMessage),
}

struct Session {
    market: String,
    snapshot: String,
    frames: Vec<Frame>,
}

/// read takes the lines "NANOS TAG PAYLOAD" of a capture.
fn read(path: &str, market: &str) -> Session {
    let mut session = Session { market: market.to_string(), snapshot: String::new(), frames: Vec::new() };
    for line in fs::read_to_string(path).expect(path).lines() {
        let mut parts = line.splitn(3, ' ');
        let (tag, payload) = (parts.nth(1).unwrap_or(""), parts.next().unwrap_or(""));
        match tag {
            "rest" => session.snapshot = payload.split_once(' ').expect("URL BODY").1.to_string(),
            "text" => {
                let (head, rest) = payload.split_once(",\"data\":").expect("a combined stream");
                let message = WsMessage::text(&rest[..rest.len() - 1]);
                session.frames.push(match head {
                    h if h.contains("@depth") => Frame::Depth(message),
                    h if h.contains("@trade") => Frame::Trade(message),
                    _ => Frame::Quote(message),
                });
            }
            _ => {}
        }
    }
    session
}

#[derive(Default)]
struct Done {
    trades: usize,
    quotes: usize,
    books: usize,
    book: OrderBook,
}

fn processor_micros() -> f64 {
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let of = |t: libc::timeval| t.tv_sec as f64 * 1e6 + t.tv_usec as f64;
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// take is what barter's stream does with a message of a socket.
fn take<T>(transformer: &mut T, message: &WsMessage) -> T::OutputIter
where
    T: Transformer,
    T::Input: for<'de> serde::Deserialize<'de>,
{
    let input = <WebSocketSerdeParser as StreamParser<T::Input>>::parse(Ok(message.clone()));
    transformer.transform(input.expect("a payload").expect("a message of this kind"))
}

/// pass takes the whole session from nothing, and returns the processor time.
fn pass<Exchange, Books>(session: &Session) -> (f64, Done)
where
    Exchange: Connector + Send,
    Books: ExchangeTransformer<Exchange, u32, OrderBooksL2>
        + Transformer<Output = MarketEvent<u32, OrderBookEvent>, Error = DataError>,
    Books::Input: for<'de> serde::Deserialize<'de>,
{
    let map = |channel: BinanceChannel| Map::from_iter([(ExchangeSub::from((channel, session.market.as_str())).id(), KEY)]);
    let (sink, _nobody) = tokio::sync::mpsc::unbounded_channel();
    let mut done = Done::default();
    let from = processor_micros();
    let snapshot: BinanceOrderBookL2Snapshot = serde_json::from_str(&session.snapshot).expect("a snapshot");
    let snapshot = MarketEvent::from((Exchange::ID, KEY, snapshot));
    done.book.update(&snapshot.kind);
    let mut books = block_on(Books::init(map(BinanceChannel::ORDER_BOOK_L2), &[snapshot], sink.clone())).expect("books");
    let mut trades = block_on(StatelessTransformer::<Exchange, u32, PublicTrades, BinanceTrade>::init(map(BinanceChannel::TRADES), &[], sink.clone())).expect("trades");
    let mut quotes = block_on(StatelessTransformer::<Exchange, u32, OrderBooksL1, BinanceOrderBookL1>::init(map(BinanceChannel::ORDER_BOOK_L1), &[], sink)).expect("quotes");
    for frame in &session.frames {
        match frame {
            Frame::Depth(message) => {
                for event in take(&mut books, message) {
                    done.book.update(&event.expect("a book without gaps").kind);
                    done.books += 1;
                }
            }
            Frame::Trade(message) => done.trades += take(&mut trades, message).into_iter().filter(|t| t.is_ok()).count(),
            Frame::Quote(message) => done.quotes += take(&mut quotes, message).into_iter().filter(|q| q.is_ok()).count(),
        }
    }
    (processor_micros() - from, done)
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, path, venue, market, passes] = &arguments[..] else {
        eprintln!("usage: barter_peer CAPTURE VENUE MARKET PASSES");
        std::process::exit(2);
    };
    let session = read(path, market);
    // One that is not counted: memory is had from the system, and caches filled.
    let mut all: Vec<(f64, Done)> = (0..=passes.parse().expect("a number of passes"))
        .map(|_: usize| match venue.as_str() {
            "binance-spot" => pass::<BinanceSpot, BinanceSpotOrderBooksL2Transformer<u32>>(&session),
            _ => pass::<BinanceFuturesUsd, BinanceFuturesUsdOrderBooksL2Transformer<u32>>(&session),
        })
        .collect();
    let (_, done) = all.remove(0);
    let times: Vec<String> = all.iter().map(|(micros, _)| format!("{:.4}", micros / session.frames.len() as f64)).collect();
    let top = |level: Option<&barter_data::books::Level>| level.map_or("-\t-".to_string(), |l| format!("{}\t{}", l.price, l.amount));
    println!(
        "barter-data\t0.13.0\t{venue}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        session.frames.len(), times.join(","), done.trades, done.quotes, done.books,
        top(done.book.bids().best()), top(done.book.asks().best())
    );
}
