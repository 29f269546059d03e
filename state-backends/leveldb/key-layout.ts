/**
 * The bytes of keys in the database of a store.
 *
 *   cell      group 2, state 2, key's canonical bytes [, page 8]       layouts 'key' and 'page'
 *   pack      group 2, state 2, ff, number of the pack 4               many cells of layout 'key' in one
 *   cell      group 2, state 2, incarnation 4, key's bytes             layout 'slice'
 *   timers    group 2, state 2, start 8, exponent 1, segment 4         layout 'timers'
 *   local     ff fe, state 2, kind 1, two numbers of 8 and 4           indexes of the store, no part of a state
 *   states    ff ff                                                    names and ids of the states
 *
 * Invariants
 *  - What belongs to a key group is one range, so a rescale copies ranges. Groups are below 0x8000, so the last two kinds
 *    are outside of every group.
 *  - No key's bytes begin with ff, so packs lie behind the cells of their state.
 *  - A slice is named by its incarnation, a number never used for another slice of the state: a dropped slice is forgotten in one
 *    step and its cells are removed later, while the same slice may be there again.
 *  - Numbers are big-endian, page numbers and times IEEE 754; nothing depends on their order, but near ones lie side by side.
 */
import type { ByteWriter } from '../../src/core/byte-writer.ts'
import { assert } from '../../src/core/errors.ts'
import type { KeyGroupRange } from '../../src/core/key-group.ts'
import type { DiskRange } from './disk-table.ts'

/** Bytes before what the layout of a state decides. */
export const CELL_PREFIX_BYTES = 4

/** Kinds of local cells. */
export const localKind = { slice: 1, sliceKeys: 2, sliceGarbage: 3 } as const

const packTag = 0xff
const localPrefix = 0xfffe
const statesPrefix = 0xffff
const local = { kindAt: 4, numberAt: 5, indexAt: 13, bytes: 17 } as const
const pack = { numberAt: 5, bytes: 9 } as const
const timers = { startAt: 4, exponentAt: 12, segmentAt: 13, bytes: 17 } as const

/** The key under which names and ids of the states stand. */
export const statesKey: Buffer = uint16Bytes(statesPrefix)

/** Which cells a key of a group belongs to. */
export interface CellPrefix {
  readonly group: number
  readonly stateId: number
}

/** The key of a local cell, read back. */
export interface LocalKey {
  readonly stateId: number
  readonly kind: number
  readonly number: number
}

/** The key of a segment of timers, read back. */
export interface TimersKey {
  readonly start: number
  readonly exponent: number
  readonly segment: number
}

/** Begins the key of a cell. */
export function writePrefix(out: ByteWriter, group: number, stateId: number): void {
  out.uint16(group)
  out.uint16(stateId)
}

/** Appends a number in 8 bytes. */
export function writeDouble(out: ByteWriter, value: number): void {
  out.reserve(8)
  out.length = out.buffer.writeDoubleBE(value, out.length)
}

export function writePackKey(out: ByteWriter, prefix: CellPrefix, pack: number): void {
  writePrefix(out, prefix.group, prefix.stateId)
  out.uint8(packTag)
  out.uint32(pack)
}

export function writeTimersKey(out: ByteWriter, prefix: CellPrefix, key: TimersKey): void {
  writePrefix(out, prefix.group, prefix.stateId)
  writeDouble(out, key.start)
  out.uint8(key.exponent)
  out.uint32(key.segment)
}

/** `index` tells apart what has the same `number`. */
export function writeLocalKey(out: ByteWriter, key: LocalKey, index: number): void {
  writePrefix(out, localPrefix, key.stateId)
  out.uint8(key.kind)
  writeDouble(out, key.number)
  out.uint32(index)
}

export function readPrefix(key: Buffer): CellPrefix {
  return { group: key.readUInt16BE(0), stateId: key.readUInt16BE(2) }
}

/** Whether it is the key of a pack, given that it is one of layout 'key'. */
export function isPackKey(key: Buffer): boolean {
  return key[CELL_PREFIX_BYTES] === packTag
}

/** The number of a pack. */
export function readPackKey(key: Buffer): number {
  assert(key.length === pack.bytes, `The key of a pack has ${key.length} bytes`)
  return key.readUInt32BE(pack.numberAt)
}

export function readTimersKey(key: Buffer): TimersKey {
  assert(key.length === timers.bytes, `A key of timers has ${key.length} bytes`)
  return {
    start: key.readDoubleBE(timers.startAt),
    exponent: key.readUInt8(timers.exponentAt),
    segment: key.readUInt32BE(timers.segmentAt),
  }
}

export function readLocalKey(key: Buffer): LocalKey {
  assert(key.length === local.bytes, `The key of a local cell has ${key.length} bytes`)
  return {
    stateId: key.readUInt16BE(2),
    kind: key.readUInt8(local.kindAt),
    number: key.readDoubleBE(local.numberAt),
  }
}

/** All cells of the key groups in `range`. */
export function rangeOfGroups(range: KeyGroupRange): DiskRange {
  return { gte: uint16Bytes(range.start), lt: uint16Bytes(range.end) }
}

/** All cells of one state in one key group. */
export function rangeOfState({ group, stateId }: CellPrefix): DiskRange {
  return { gte: prefixBytes(group, stateId), lt: prefixBytes(group, stateId + 1) }
}

/** All packs of one state in one key group. */
export function rangeOfPacks({ group, stateId }: CellPrefix): DiskRange {
  const gte = Buffer.concat([prefixBytes(group, stateId), Buffer.of(packTag)])
  return { gte, lt: prefixBytes(group, stateId + 1) }
}

/** The local cells of all states. */
export function rangeOfLocal(): DiskRange {
  return { gte: uint16Bytes(localPrefix), lt: uint16Bytes(statesPrefix) }
}

/** The local cells of one state. */
export function rangeOfLocalState(stateId: number): DiskRange {
  return rangeOfState({ group: localPrefix, stateId })
}

/** The local cells of one state and kind. */
export function rangeOfLocalKind(stateId: number, kind: number): DiskRange {
  const bytes = (last: number) =>
    Buffer.concat([prefixBytes(localPrefix, stateId), Buffer.of(last)])
  return { gte: bytes(kind), lt: bytes(kind + 1) }
}

function uint16Bytes(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function prefixBytes(group: number, stateId: number): Buffer {
  const bytes = Buffer.alloc(CELL_PREFIX_BYTES)
  bytes.writeUInt16BE(group, 0)
  bytes.writeUInt16BE(stateId, 2)
  return bytes
}
