/**
 * The bids of the auction, numbered by themselves, and what comes of counting them per auction in windows of a second of event time.
 * A row is (the window's end less `BASE_MS`, auction, count). Pure.
 */
import { BASE_MS, auctionEvent } from '../../examples/auction/events.ts'
import type { Bid } from '../../examples/auction/events.ts'
import { rowHash } from '../nexmark/checksum.ts'
import type { Checksum } from '../nexmark/checksum-sink.ts'

/** Size of the windows. */
export const WINDOW_MS = 1000

/** How far the watermark trails: one more than any bid is older than the newest before it. */
export const TRAIL_MS = 3001

/** A bid as it stands in the topic: the fields of the event, but for its kind. */
export type TopicBid = Omit<Bid, 'kind'>

/** Bid `index`, from 0: of 50 events the last 46 are bids. */
export function topicBid(index: number): TopicBid {
  const event = auctionEvent(50 * Math.floor(index / 46) + 4 + (index % 46)) as Bid
  const { auction, bidder, price, dateTime, channel, url, extra } = event
  return { auction, bidder, price, dateTime, channel, url, extra }
}

/** Bids from here on only move the event time past the last window of `events` bids, so that every window closes. */
export function flushFromMs(events: number): number {
  return (Math.floor(topicBid(events).dateTime / 1000) + 10) * 1000
}

/** What is written for a window of an auction: `window end,auction,count,last date`. */
export interface CountRow {
  readonly endMs: number
  readonly auction: number
  readonly count: number
  readonly lastMs: number
}

export function rowText({ endMs, auction, count, lastMs }: CountRow): string {
  return `${endMs},${auction},${count},${lastMs}`
}

export function rowOfText(text: string): CountRow {
  const [endMs = NaN, auction = NaN, count = NaN, lastMs = NaN] = text.split(',').map(Number)
  return { endMs, auction, count, lastMs }
}

export function hashOf({ endMs, auction, count }: CountRow): number {
  return rowHash([endMs - BASE_MS, auction, count])
}

/** Rows and checksum of the first `events` bids, counted here and now. */
export function reference(events: number): Checksum {
  const counts = new Map<number, Map<number, number>>()
  for (let index = 0; index < events; index++) {
    const { auction, dateTime } = topicBid(index)
    const endMs = dateTime - (dateTime % WINDOW_MS) + WINDOW_MS
    const window = counts.get(endMs) ?? new Map<number, number>()
    if (window.size === 0) counts.set(endMs, window)
    window.set(auction, (window.get(auction) ?? 0) + 1)
  }
  let rows = 0
  let checksum = 0
  for (const [endMs, window] of counts) {
    for (const [auction, count] of window) {
      rows++
      checksum = (checksum + hashOf({ endMs, auction, count, lastMs: 0 })) >>> 0
    }
  }
  return { rows, checksum }
}
