/**
 * Pages of keyed state in one plain file: the form of savepoints.
 *
 * Layout: frames of [bytes uint32, crc32 uint32, body], big-endian. The first body is JSON: what the file is and which key groups
 * it holds. Each further body is a key group (uint16) and a page (page-codec.ts); groups ascend. The last is empty: without
 * it the file was cut off.
 */
import { crc32 } from 'node:zlib'
import type { StatePage } from '../../contract/snapshot-storage.ts'
import type { KeyGroupRange } from '../../core/key-group.ts'
import { EngineError } from '../../core/errors.ts'
import { decodePage, encodePage } from './page-codec.ts'

const HEAD_BYTES = 8
const GROUP_BYTES = 2

/** What a page file says of itself, so that it can be understood without its manifest. */
export interface PageFileHeader {
  readonly millrace: 'state'
  readonly format: 1
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly checkpointId: number
  readonly keyGroups: KeyGroupRange
}

export function headerFrame(header: PageFileHeader): Buffer {
  return frame(Buffer.from(JSON.stringify(header)))
}

export function pageFrame(page: StatePage): Buffer {
  const group = Buffer.allocUnsafe(GROUP_BYTES)
  group.writeUInt16BE(page.group)
  return frame(Buffer.concat([group, encodePage(page)]))
}

export function endFrame(): Buffer {
  return frame(Buffer.alloc(0))
}

/** The pages in `range`. Throws `CHECKPOINT_CORRUPT` naming `place`. */
export function* readPages(
  bytes: Uint8Array,
  range: KeyGroupRange,
  place: string,
): Generator<StatePage> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let isFirst = true
  for (let at = 0; ; isFirst = false) {
    if (at + HEAD_BYTES > buffer.length) throw corrupt(place, 'it ends too early')
    const length = buffer.readUInt32BE(at)
    const body = buffer.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)
    if (body.length !== length) throw corrupt(place, 'it ends too early')
    if (crc32(body) !== buffer.readUInt32BE(at + 4)) {
      throw corrupt(place, `the checksum of the part at byte ${at} is wrong`)
    }
    if (length === 0) return
    at += HEAD_BYTES + length
    if (isFirst) continue
    const group = body.readUInt16BE(0)
    if (group >= range.start && group < range.end) {
      yield decodePage(group, body.subarray(GROUP_BYTES))
    }
  }
}

function frame(body: Buffer): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head.writeUInt32BE(body.length, 0)
  head.writeUInt32BE(crc32(body), 4)
  return Buffer.concat([head, body])
}

function corrupt(place: string, why: string): EngineError {
  return new EngineError('CHECKPOINT_CORRUPT', `The state file ${place} cannot be used: ${why}`)
}
