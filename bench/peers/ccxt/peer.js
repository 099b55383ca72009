// Takes a recorded session of Binance through ccxt's own websocket client, whose
// messages its handlers take: trades, best prices, books. Nobody waits for them,
// so that promises cost nothing.
//
//   node peer.js NODE_MODULES CAPTURE VENUE MARKET PASSES
//
// The book is asked for at the first frame; the recorded snapshot is answered
// where it was recorded.
const path = require('path')
const { pathToFileURL } = require('url')
const { read, processorMicros, tell } = require('../common/session.js')

const [modules, capture, venue, id, passes] = process.argv.slice(2)
const library = path.join(modules, 'ccxt')
const session = read(capture)
const kinds = {
  'binance-spot': { exchange: 'binance', url: 'wss://stream.binance.com:9443/ws', symbol: 'BTC/USDT', get: 'publicGetDepth',
    market: { type: 'spot', spot: true, contract: false, base: 'BTC', quote: 'USDT' } },
  'binance-usdm': { exchange: 'binanceusdm', url: 'wss://fstream.binance.com/ws', symbol: 'BTC/USDT:USDT', get: 'fapiPublicGetDepth',
    market: { type: 'swap', swap: true, contract: true, linear: true, inverse: false, base: 'BTC', quote: 'USDT', settle: 'USDT', contractSize: 1 } },
  'binance-coinm': { exchange: 'binancecoinm', url: 'wss://dstream.binance.com/ws', symbol: 'BTC/USD:BTC', get: 'dapiPublicGetDepth',
    market: { type: 'swap', swap: true, contract: true, linear: false, inverse: true, base: 'BTC', quote: 'USD', settle: 'BTC', contractSize: 100 } },
}

async function main() {
  const { default: ccxt } = await import(pathToFileURL(path.join(library, 'js', 'ccxt.js')))
  const kind = kinds[venue]
  const settled = () => new Promise((resolve) => setTimeout(resolve, 5))

  async function pass() {
    const exchange = new ccxt.pro[kind.exchange]({ newUpdates: true })
    exchange.setMarkets([exchange.safeMarketStructure({ id, symbol: kind.symbol, active: true, precision: { price: 0.01, amount: 0.00001 }, ...kind.market })])
    let answer
    exchange[kind.get] = () => new Promise((resolve) => { answer = resolve })
    const client = exchange.client(kind.url)
    const done = { trades: 0, quotes: 0, books: 0 }
    client.resolve = (result, hash) => { // counts, and does what is done where nobody waits
      if (hash.startsWith('trade::')) done.trades++
      else if (hash.startsWith('orderbook::')) done.books++
      else if (hash.startsWith('bidask:')) done.quotes++
      return result
    }
    client.reject = (error) => { throw error }
    exchange.handleOrderBookSubscription(client, {}, { symbol: kind.symbol, limit: 1000, type: venue === 'binance-spot' ? undefined : 'future', params: {} })
    await settled()
    const from = processorMicros()
    for (let i = 0; i < session.frames.length; i++) {
      if (i === session.snapshotAt) {
        answer(JSON.parse(session.snapshot))
        await settled()
      }
      client.onMessage({ data: session.frames[i].text })
    }
    const took = processorMicros() - from
    const book = exchange.orderbooks[kind.symbol].limit()
    done.bid = book.bids[0]
    done.ask = book.asks[0]
    return [took, done]
  }
  await tell('ccxt', require(path.join(library, 'package.json')).version, venue, session, Number(passes), pass)
}

main()
