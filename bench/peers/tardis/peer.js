// Takes a recorded session of Binance through tardis-dev's own loop over its
// mappers, books through its OrderBook.
//
//   node peer.js NODE_MODULES CAPTURE VENUE MARKET PASSES
//
// The snapshot comes where it was recorded, as its feed would bring it.
const path = require('path')
const { read, processorMicros, tell } = require('../common/session.js')

const [modules, capture, venue, market, passes] = process.argv.slice(2)
const library = path.join(modules, 'tardis-dev')
const { normalizeTrades, normalizeBookChanges, normalizeBookTickers, OrderBook } = require(library)
const { normalizeMessages } = require(path.join(library, 'dist', 'handy.js'))
const exchange = { 'binance-spot': 'binance', 'binance-usdm': 'binance-futures', 'binance-coinm': 'binance-delivery' }[venue]

const session = read(capture)

async function* messages() {
  for (let i = 0; i < session.frames.length; i++) {
    const { text, millis } = session.frames[i]
    const localTimestamp = new Date(millis)
    if (i === session.snapshotAt) {
      yield { localTimestamp, message: { stream: market.toLowerCase() + '@depthSnapshot', generated: true, data: JSON.parse(session.snapshot) } }
    }
    yield { localTimestamp, message: JSON.parse(text) }
  }
}

async function pass() {
  const done = { trades: 0, quotes: 0, books: 0 }
  const book = new OrderBook()
  const from = processorMicros()
  const create = (at) => [normalizeTrades, normalizeBookChanges, normalizeBookTickers].map((normalize) => normalize(exchange, at))
  const first = new Date(session.frames[0].millis)
  for await (const m of normalizeMessages(exchange, undefined, messages(), create(first), create, false, undefined, first)) {
    if (m.type === 'book_change') {
      book.update(m)
      done.books++
    } else if (m.type === 'trade') {
      done.trades++
    } else if (m.type === 'book_ticker') {
      done.quotes++
    }
  }
  const took = processorMicros() - from
  const bid = book.bestBid()
  const ask = book.bestAsk()
  done.bid = [bid.price, bid.amount]
  done.ask = [ask.price, ask.amount]
  return [took, done]
}

tell('tardis-dev', require(path.join(library, 'package.json')).version, venue, session, Number(passes), pass)
