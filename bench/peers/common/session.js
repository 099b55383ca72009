// What the JavaScript peers share: a capture in memory, passes over it, one line told.
const fs = require('fs')

// read returns the frames of a capture, each with its receive time in ms, the
// index of the frame before which its snapshot came, and the snapshot's text.
function read(path) {
  const session = { frames: [], snapshot: '', snapshotAt: 0 }
  for (const line of fs.readFileSync(path, 'latin1').split('\n')) {
    const first = line.indexOf(' ')
    const second = line.indexOf(' ', first + 1)
    const tag = line.slice(first + 1, second)
    // A copy of its own, not a view into the file's text.
    const payload = Buffer.from(line.slice(second + 1), 'latin1').toString()
    if (tag === 'rest') {
      session.snapshot = payload.slice(payload.indexOf(' ') + 1)
      session.snapshotAt = session.frames.length
    } else if (tag === 'text') {
      session.frames.push({ text: payload, millis: Number(BigInt(line.slice(0, first)) / 1000000n) })
    }
  }
  return session
}

// processorMicros is of all threads, user and system.
function processorMicros() {
  const { user, system } = process.cpuUsage()
  return user + system
}

// tell runs one() passes + 1 times; it resolves to processor time in µs and what
// was done. The first pass is not counted.
async function tell(name, version, venue, session, passes, one) {
  const took = []
  let done
  for (let lap = 0; lap <= passes; lap++) {
    const [micros, did] = await one()
    done = did
    if (lap > 0) took.push((micros / session.frames.length).toFixed(4))
  }
  const top = (level) => (level === undefined ? '-\t-' : level.join('\t'))
  console.log([name, version, venue, session.frames.length, took.join(','), done.trades, done.quotes, done.books, top(done.bid), top(done.ask)].join('\t'))
}

module.exports = { read, processorMicros, tell }
