/**
 * The events of an online auction, after Nexmark (Tucker et al., NEXMark: A Benchmark for Queries over Data Streams): of 50 events one
 * is a person, three are auctions and the rest bids. Event `i` is a function of `i` alone, so any part of the stream can be
 * made again anywhere.
 *
 * All arithmetic is on unsigned 32-bit integers; `random(i, salt)` is the only source of chance.
 */

export interface Person {
  readonly kind: 0
  readonly id: number
  readonly name: string
  readonly emailAddress: string
  readonly creditCard: string
  readonly city: string
  readonly state: string
  readonly dateTime: number
  readonly extra: string
}

export interface Auction {
  readonly kind: 1
  readonly id: number
  readonly itemName: string
  readonly description: string
  readonly initialBid: number
  readonly reserve: number
  readonly dateTime: number
  readonly expires: number
  readonly seller: number
  readonly category: number
  readonly extra: string
}

export interface Bid {
  readonly kind: 2
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly channel: string
  readonly url: string
  readonly dateTime: number
  readonly extra: string
}

export type AuctionEvent = Person | Auction | Bid

/** The time of the first event. */
export const BASE_MS = 1_700_000_000_000

/** No event is more than this much older than the newest before it. */
export const DELAY_MS = 3000

const EVENTS_PER_EPOCH = 50
const GOLDEN = 0x9e3779b1
const SALT = 0x85ebca77

const FIRST = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie'] as const
const LAST = [
  'Shultz',
  'Abrams',
  'Spencer',
  'White',
  'Bartels',
  'Walton',
  'Smith',
  'Jones',
] as const
const CITY = [
  'Phoenix',
  'Palo_Alto',
  'San_Mateo',
  'Boise',
  'Portland',
  'Bend',
  'Redmond',
  'Seattle',
] as const
const STATE = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'] as const
const CHANNEL = ['Google', 'Facebook', 'Baidu', 'Apple'] as const
const POW10 = [1, 10, 100, 1000, 10_000] as const
const EXTRA = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_'
const SALT_1 = Math.imul(1, SALT)
const SALT_2 = Math.imul(2, SALT)
const SALT_3 = Math.imul(3, SALT)
const SALT_4 = Math.imul(4, SALT)
const SALT_5 = Math.imul(5, SALT)
const SALT_6 = Math.imul(6, SALT)
const SALT_7 = Math.imul(7, SALT)
const SALT_8 = Math.imul(8, SALT)
const SALT_9 = Math.imul(9, SALT)
const SALT_10 = Math.imul(10, SALT)
const SALT_11 = Math.imul(11, SALT)

/** The finalizer of MurmurHash3. */
export function fmix32(hash: number): number {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A number from 0 to 2^32 - 1 that belongs to event `index` and `salt`. */
export function random(index: number, salt: number): number {
  return drawn(Math.imul(index, GOLDEN), Math.imul(salt, SALT))
}

/** The same, from what belongs to the event and to the salt alone: an event draws a dozen times. */
function drawn(seed: number, salt: number): number {
  return fmix32((seed + salt) | 0)
}

/** Event `index`, from 0. */
export function auctionEvent(index: number): AuctionEvent {
  const seed = Math.imul(index, GOLDEN)
  const epoch = Math.floor(index / EVENTS_PER_EPOCH)
  const rank = index - epoch * EVENTS_PER_EPOCH
  return (MAKERS[rank] as Maker)(index, seed, epoch, rank)
}

type Maker = (index: number, seed: number, epoch: number, rank: number) => AuctionEvent

/**
 * What makes each event of an epoch. Called through a table, so that V8 compiles each kind by itself: it would put all of them into one
 * function, and have no room left there for what they call at every field.
 */
const MAKERS: readonly Maker[] = Array.from({ length: EVENTS_PER_EPOCH }, (_, rank) => {
  if (rank === 0) return person
  return rank < 4 ? auction : bid
})

function person(index: number, seed: number, epoch: number): Person {
  return {
    kind: 0,
    id: 1000 + epoch,
    name: `${FIRST[drawn(seed, SALT_1) % 8]} ${LAST[drawn(seed, SALT_2) % 8]}`,
    emailAddress: `user${epoch}@nexmark.test`,
    creditCard: String(drawn(seed, SALT_3)).padStart(16, '0'),
    city: CITY[drawn(seed, SALT_4) % 8] as string,
    state: STATE[drawn(seed, SALT_5) % 6] as string,
    dateTime: dateTime(index, seed),
    extra: extra(seed),
  }
}

function auction(index: number, seed: number, epoch: number, rank: number): Auction {
  const id = 1000 + 3 * epoch + (rank - 1)
  const initialBid = 1 + (drawn(seed, SALT_2) % 1000)
  const atMs = dateTime(index, seed)
  return {
    kind: 1,
    id,
    itemName: `item${drawn(seed, SALT_1) % 1000}`,
    description: `description of item ${id}`,
    initialBid,
    reserve: initialBid + (drawn(seed, SALT_3) % 1000),
    dateTime: atMs,
    expires: atMs + 20_000,
    seller:
      1000 +
      (drawn(seed, SALT_4) % 4 === 0
        ? Math.max(0, epoch - (drawn(seed, SALT_5) % 1000))
        : Math.floor(epoch / 100) * 100),
    category: 10 + (drawn(seed, SALT_6) % 5),
    extra: extra(seed),
  }
}

function bid(index: number, seed: number, epoch: number): Bid {
  const lastAuction = 3 * epoch + 2
  const channelNumber = drawn(seed, SALT_10)
  return {
    kind: 2,
    auction:
      1000 +
      (drawn(seed, SALT_1) % 2 === 0
        ? Math.floor(lastAuction / 100) * 100
        : Math.max(0, lastAuction - (drawn(seed, SALT_2) % 100))),
    bidder:
      1000 +
      (drawn(seed, SALT_3) % 4 === 0
        ? Math.max(0, epoch - (drawn(seed, SALT_4) % 1000))
        : Math.floor(epoch / 100) * 100 + 1),
    price: (1 + (drawn(seed, SALT_5) % 9999)) * (POW10[drawn(seed, SALT_6) % 5] as number),
    channel:
      drawn(seed, SALT_9) % 2 === 0
        ? (CHANNEL[channelNumber % 4] as string)
        : `channel-${channelNumber % 10_000}`,
    url: `https://www.nexmark.test/item.htm?query=1&channel_id=${channelNumber % 10_000}`,
    dateTime: dateTime(index, seed),
    extra: extra(seed),
  }
}

function dateTime(index: number, seed: number): number {
  const late = drawn(seed, SALT_7) % 10 === 0 ? drawn(seed, SALT_8) % DELAY_MS : 0
  return BASE_MS + Math.floor(index / 10) - late
}

function extra(seed: number): string {
  return EXTRA.substring(0, drawn(seed, SALT_11) % 64)
}
