/**
 * Three queries over one stream of auction events, side by side: a sliding window, sessions, and two inputs brought together by key.
 * Each row goes to files, exactly once, and to the screen, at once.
 */
import {
  count,
  generate,
  job,
  json,
  listState,
  maxBy,
  ms,
  outOfOrder,
  session,
  sliding,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type { DataStream, Env, Job } from 'millrace'
import { fileSink } from 'millrace/files'
import { DELAY_MS, auctionEvent } from './events.ts'
import type { Auction, AuctionEvent, Bid, Person } from './events.ts'
import { liveRows } from './live-rows.ts'

export interface DemoParams {
  /** Default: without end. */
  readonly events?: number
  /** Default: as fast as possible. */
  readonly eventsPerSecond?: number
  readonly results: string
  readonly channel: string
}

/** A row of a query: the event time it belongs to, and what is shown. */
interface DemoRow {
  readonly endMs: number
  readonly text: string
}

export const QUERIES = ['hot-auctions', 'keen-bidders', 'new-sellers'] as const

const demo: Job<DemoParams> = job('auction-demo', { params: type<DemoParams>() }, (env) => {
  const { events: eventCount, eventsPerSecond } = env.params
  const events = env.from(
    'events',
    generate({
      record: auctionEvent,
      ...(eventCount === undefined ? {} : { count: eventCount }),
      ...(eventsPerSecond === undefined ? {} : { recordsPerSecond: eventsPerSecond }),
    }),
    { timestampMs: ({ dateTime }) => dateTime, watermarks: outOfOrder({ delay: `${DELAY_MS}ms` }) },
  )
  const bids = events.filter((event): event is Bid => event.kind === 2)
  show(env, 'hot-auctions', hotAuctions(bids))
  show(env, 'keen-bidders', keenBidders(bids))
  show(env, 'new-sellers', newSellers(events))
})

export default demo

/** For each 10 s, every 2 s: the auctions with the most bids, all of them on a tie. */
function hotAuctions(bids: DataStream<Bid>): DataStream<DemoRow> {
  return (
    bids
      .keyBy((bid) => bid.auction)
      .window(sliding({ size: '10s', every: '2s' }))
      .aggregate('bids-per-auction', count())
      // a result's timestamp is its window's end - 1 ms, so each slide has the results of one window
      .windowAll(tumbling({ size: '2s' }))
      .aggregate(
        'most-bids',
        maxBy(({ value }) => value),
      )
      .flatMap(({ value }) =>
        value.map(({ key, window, value: bidCount }) => ({
          endMs: window.endMs,
          text: `auction ${key} had ${bidCount} bids in 10 s`,
        })),
      )
  )
}

/** A session of a bidder ends after 10 s without a bid. Of the sessions that end in 10 s: those with the most bids. */
function keenBidders(bids: DataStream<Bid>): DataStream<DemoRow> {
  return bids
    .keyBy((bid) => bid.bidder)
    .window(session({ gap: '10s' }))
    .count('bids-per-session')
    .windowAll(tumbling({ size: '10s' }))
    .aggregate(
      'longest-sessions',
      maxBy(({ value }) => value),
    )
    .flatMap(({ value }) =>
      value.map(({ key, window, value: bidCount }) => ({
        endMs: window.endMs,
        text: `bidder ${key} made ${bidCount} bids within ${Math.round((window.endMs - window.startMs) / 1000)} s`,
      })),
    )
}

/** For each state and 10 s: auctions that sellers open within 20 s of their registration. */
function newSellers(events: DataStream<AuctionEvent>): DataStream<DemoRow> {
  const patienceMs = ms('20s')
  const auctions = events.filter((event): event is Auction => event.kind === 1)
  return events
    .filter((event): event is Person => event.kind === 0)
    .keyBy((person) => person.id)
    .process(
      'sellers',
      {
        emits: type<{ readonly state: string }>(),
        inputs: { auctions: auctions.keyBy((auction) => auction.seller) },
        state: {
          person: valueState<{ readonly state: string; readonly atMs: number }>(),
          /** Times of auctions that came before their seller: events are out of order. */
          early: listState<number>(),
        },
      },
      ({ state, timers, emit }) => {
        const match = (person: { readonly state: string; readonly atMs: number }, atMs: number) => {
          // the time of a match must not depend on which of the two came first
          if (Math.abs(atMs - person.atMs) > patienceMs) return
          emit({ state: person.state }, Math.max(atMs, person.atMs))
        }
        return {
          onRecord({ state: home, dateTime: atMs }) {
            const person = { state: home, atMs }
            state.person.set(person)
            for (const auctionMs of state.early.values()) match(person, auctionMs)
            state.early.clear()
            timers.setEventTime(atMs + patienceMs)
          },
          inputs: {
            auctions({ dateTime: atMs }) {
              const person = state.person.get()
              if (person !== undefined) return match(person, atMs)
              state.early.add(atMs)
              timers.setEventTime(atMs + patienceMs)
            },
          },
          onTimer({ timestampMs }) {
            const person = state.person.get()
            if (person !== undefined && person.atMs + patienceMs <= timestampMs) {
              state.person.clear()
            }
            if (state.early.isEmpty()) return
            state.early.set([...state.early.values()].filter((at) => at + patienceMs > timestampMs))
          },
        }
      },
    )
    .keyBy(({ state }) => state)
    .window(tumbling({ size: '10s' }))
    .count('auctions-per-state')
    .map(({ key, window, value }) => ({
      endMs: window.endMs,
      text: `${value} auctions by new sellers from ${key}`,
    }))
}

/** To files and to the screen. One subtask writes, so that there are few files. */
function show(env: Env<DemoParams>, query: string, rows: DataStream<DemoRow>): void {
  const { results, channel } = env.params
  rows.to(`${query}-files`, fileSink({ directory: `${results}/${query}`, format: json() }), {
    parallelism: 1,
  })
  rows
    .map(({ endMs, text }) => `${new Date(endMs).toISOString().slice(11, 19)}  ${text}`)
    .to(`${query}-screen`, liveRows(channel, query), { parallelism: 1 })
}
