/**
 * Rows and checksum of every query as a single-threaded reference computes them; every other engine that was compared gives the
 * same ones. `count` has 1,000,000 keys.
 */
import type { Checksum } from './checksum-sink.ts'
import type { Query } from './queries.ts'

/** Numbers of events that the figures are known for. */
export type KnownEvents = 100_000 | 1_000_000

export const EXPECTED: Readonly<Record<Query, Readonly<Record<KnownEvents, Checksum>>>> = {
  q0: {
    100_000: { rows: 100000, checksum: 1943443702 },
    1_000_000: { rows: 1000000, checksum: 2895820812 },
  },
  q1: {
    100_000: { rows: 92000, checksum: 2583805862 },
    1_000_000: { rows: 920000, checksum: 202693986 },
  },
  q2: {
    100_000: { rows: 371, checksum: 3745371633 },
    1_000_000: { rows: 6830, checksum: 2157118359 },
  },
  q3: {
    100_000: { rows: 562, checksum: 3429601448 },
    1_000_000: { rows: 6163, checksum: 927564803 },
  },
  q5: {
    100_000: { rows: 13, checksum: 1378858757 },
    1_000_000: { rows: 58, checksum: 1863096389 },
  },
  q7: {
    100_000: { rows: 2, checksum: 2957494757 },
    1_000_000: { rows: 26, checksum: 2152851140 },
  },
  q8: {
    100_000: { rows: 798, checksum: 1041919219 },
    1_000_000: { rows: 8393, checksum: 3363434745 },
  },
  q11: {
    100_000: { rows: 1910, checksum: 992082335 },
    1_000_000: { rows: 19907, checksum: 348955060 },
  },
  count: {
    100_000: { rows: 100000, checksum: 1341286502 },
    1_000_000: { rows: 1000000, checksum: 3121197903 },
  },
  events: {
    100_000: { rows: 100000, checksum: 3747708475 },
    1_000_000: { rows: 1000000, checksum: 2968742368 },
  },
}
