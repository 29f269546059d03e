/**
 * The queries of the benchmark in the public API. Every event travels as a full object through the job; a row is a list of integers,
 * times less `BASE_MS`.
 */
import {
  aggregator,
  count,
  generate,
  listState,
  maxBy,
  outOfOrder,
  session,
  sliding,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type { DataStream, Env } from 'millrace'
import { BASE_MS, DELAY_MS, auctionEvent, random } from '../../examples/auction/events.ts'
import type { Auction, AuctionEvent, Bid, Person } from '../../examples/auction/events.ts'

export type Row = readonly number[]

export const QUERIES = ['q0', 'q1', 'q2', 'q3', 'q5', 'q7', 'q8', 'q11', 'count', 'events'] as const

/** A query of the benchmark. */
export type Query = (typeof QUERIES)[number]

export interface BenchParams {
  readonly query: Query
  readonly events: number
  readonly keys: number
}

const STATES_OF_Q3 = new Set(['OR', 'ID', 'CA'])

/** The rows of a query. */
export function rowsOf(env: Env<BenchParams>): DataStream<Row> {
  const { query, events: eventCount, keys } = env.params
  if (query === 'count') return countRows(env, eventCount, keys)
  const events = env.from('events', generate({ count: eventCount, record: auctionEvent }), {
    timestampMs: (event) => event.dateTime,
    watermarks: outOfOrder({ delay: `${DELAY_MS}ms` }),
  })
  switch (query) {
    case 'q0':
      return events.map((event) => event).map((event) => [event.kind, event.dateTime - BASE_MS])
    case 'q1':
      return bids(events).map((bid) => [
        bid.auction,
        bid.bidder,
        Math.floor((bid.price * 908) / 1000),
        bid.dateTime - BASE_MS,
      ])
    case 'q2':
      return bids(events)
        .filter((bid) => bid.auction % 123 === 0)
        .map((bid) => [bid.auction, bid.price])
    case 'q3':
      return q3(events)
    case 'q5':
      return q5(events)
    case 'q7':
      return q7(events)
    case 'q8':
      return q8(events)
    case 'q11':
      return q11(events)
    case 'events':
      return events.map((event) => wholeEvent(event))
  }
}

function bids(events: DataStream<AuctionEvent>): DataStream<Bid> {
  return events.filter((event) => event.kind === 2)
}

/** Persons of three states joined for ever with auctions of category 10 by seller. */
function q3(events: DataStream<AuctionEvent>): DataStream<Row> {
  const persons = events
    .filter((event): event is Person => event.kind === 0 && STATES_OF_Q3.has(event.state))
    .keyBy((person) => person.id)
  return events
    .filter((event): event is Auction => event.kind === 1 && event.category === 10)
    .keyBy((auction) => auction.seller)
    .process(
      'join',
      {
        emits: type<Row>(),
        inputs: { persons },
        state: { isKnown: valueState<boolean>(), auctions: listState<number>() },
      },
      ({ state, emit, key }) => ({
        onRecord(auction) {
          if (state.isKnown.get() === true) emit([key(), auction.id])
          else state.auctions.add(auction.id)
        },
        inputs: {
          persons() {
            state.isKnown.set(true)
            for (const auction of state.auctions.values()) emit([key(), auction])
            state.auctions.clear()
          },
        },
      }),
    )
}

/** Per sliding window the auctions with the most bids. */
function q5(events: DataStream<AuctionEvent>): DataStream<Row> {
  return (
    bids(events)
      .keyBy((bid) => bid.auction)
      .window(sliding({ size: '10s', every: '2s' }))
      .aggregate('bids-per-auction', count())
      // a result's timestamp is its window's end - 1 ms, so each slide has the results of one window
      .windowAll(tumbling({ size: '2s' }))
      .aggregate(
        'most-bids',
        maxBy((result) => result.value),
      )
      .flatMap(({ value: hottest }) =>
        hottest.map((row) => [row.window.endMs - BASE_MS, row.key, row.value]),
      )
  )
}

/** Per tumbling window the bids with the highest price. */
function q7(events: DataStream<AuctionEvent>): DataStream<Row> {
  return bids(events)
    .windowAll(tumbling({ size: '10s' }))
    .aggregate(
      'highest-bids',
      maxBy((bid) => bid.price),
    )
    .flatMap(({ window, value: highest }) =>
      highest.map((bid) => [window.endMs - BASE_MS, bid.auction, bid.bidder, bid.price]),
    )
}

/** Per tumbling window the persons who also opened an auction in it. */
function q8(events: DataStream<AuctionEvent>): DataStream<Row> {
  const seen = aggregator({
    create: () => 0,
    add: (found: number, event: Person | Auction) => found | (event.kind === 0 ? 1 : 2),
    merge: (a, b) => a | b,
    result: (found) => found,
    isExact: true,
    keepsValues: false,
  })
  return events
    .filter((event): event is Person | Auction => event.kind !== 2)
    .keyBy((event) => (event.kind === 0 ? event.id : event.seller))
    .window(tumbling({ size: '10s' }))
    .aggregate('seen', seen)
    .filter(({ value }) => value === 3)
    .map(({ key, window }) => [window.endMs - BASE_MS, key])
}

/** Bids per bidder and session. */
function q11(events: DataStream<AuctionEvent>): DataStream<Row> {
  return bids(events)
    .keyBy((bid) => bid.bidder)
    .window(session({ gap: '10s' }))
    .count('bids-per-session')
    .map(({ key, window, value }) => [key, window.startMs - BASE_MS, window.endMs - BASE_MS, value])
}

/** A running count of events per key. */
function countRows(env: Env<BenchParams>, eventCount: number, keys: number): DataStream<Row> {
  return env
    .from(
      'events',
      generate({
        count: eventCount,
        record: (index) => ({ key: random(index, 12) % keys, event: auctionEvent(index) }),
      }),
      {
        timestampMs: ({ event }) => event.dateTime,
        watermarks: outOfOrder({ delay: `${DELAY_MS}ms` }),
      },
    )
    .keyBy(({ key }) => key)
    .count('events-per-key')
    .map(({ key, value }) => [key, value])
}

/** Every field of an event: no query, but a check that all of them are made and carried right. */
function wholeEvent(event: AuctionEvent): Row {
  return Object.entries(event).flatMap(([name, value]: [string, number | string]) => {
    if (typeof value === 'string')
      return [value.length, ...Array.from(value, (c) => c.charCodeAt(0))]
    return [name === 'dateTime' || name === 'expires' ? value - BASE_MS : value]
  })
}
