/**
 * The manifest: what a checkpoint or savepoint consists of. It is written last, in one piece, under a name that did not exist:
 * a checkpoint is complete exactly when its manifest can be read.
 *
 * Format 1: a line of JSON with the length and checksum of the rest, then the rest as JSON. Values of the value model stand in it
 * as base64 of their canonical encoding. Fields are only ever added; a reader ignores what it does not know.
 */
import { crc32 } from 'node:zlib'
import type { CellState } from '../contract/state-backend.ts'
import type { SnapshotHandle } from '../contract/snapshot-storage.ts'
import { EngineError } from '../core/errors.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'

const FORMAT = 1

/** A whole checkpoint or savepoint. */
export interface Manifest {
  readonly kind: 'checkpoint' | 'savepoint'
  readonly jobName: string
  /** The line of checkpoints it belongs to: within one, ids never repeat. */
  readonly lineage: string
  readonly checkpointId: number
  /** When it was published, on the coordinator's clock. */
  readonly completedAtMs: number
  readonly maxParallelism: number
  /** The hash that divides keys into key groups. */
  readonly keyHash: string
  /** Whether it shares no file with an earlier checkpoint. */
  readonly isSelfContained: boolean
  readonly operators: readonly OperatorManifest[]
}

/** What it holds of one operator. */
export interface OperatorManifest {
  readonly uid: string
  readonly type: string
  readonly parallelism: number
  readonly states: readonly CellState[]
  readonly subtasks: readonly SubtaskManifest[]
  /** Sources: the splits that have been dealt out so far, by id. */
  readonly knownSplits?: readonly string[]
}

/** What it holds of one subtask of an operator. */
export interface SubtaskManifest {
  readonly subtaskIndex: number
  /** The operator's input watermark at the barrier. */
  readonly watermarkMs: number
  readonly keyed?: SnapshotHandle
  /** Canonical encoding of the operator's non-keyed items, an array. */
  readonly items?: Uint8Array
}

/** The bytes of a manifest. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const body = Buffer.from(JSON.stringify(manifest, encodeField))
  const head = { millrace: manifest.kind, format: FORMAT, bytes: body.length, crc32: crc32(body) }
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body])
}

/** The manifest in `bytes`; `place` is named when they are no whole manifest (`CHECKPOINT_CORRUPT`). */
export function decodeManifest(bytes: Uint8Array, place: string): Manifest {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const lineEnd = buffer.indexOf('\n')
  const head = parseHead(buffer.toString('utf8', 0, Math.max(0, lineEnd)))
  const body = buffer.subarray(lineEnd + 1)
  if (head === undefined) throw corrupt(place, 'it does not begin like a manifest')
  if (head.format !== FORMAT) {
    throw corrupt(place, `it is of format ${head.format}, this version reads format ${FORMAT}`)
  }
  if (body.length !== head.bytes) {
    throw corrupt(place, `it should have ${head.bytes} bytes and has ${body.length}`)
  }
  if (crc32(body) !== head.crc32) throw corrupt(place, 'its checksum is wrong')
  return JSON.parse(body.toString('utf8'), decodeField) as Manifest
}

/** The items of a subtask of an operator, in the form a manifest holds them. */
export function encodeItems(items: readonly unknown[]): Uint8Array {
  // no Buffer: JSON would make an array of numbers of it, a hundred times as large, before we see it
  const { buffer, byteOffset, length } = encodeValue(items)
  return new Uint8Array(buffer, byteOffset, length)
}

/** The items that a manifest holds. */
export function decodeItems(items: Uint8Array | undefined): readonly unknown[] {
  return items === undefined ? [] : (decodeValue(items) as readonly unknown[])
}

interface Head {
  readonly format: number
  readonly bytes: number
  readonly crc32: number
}

function parseHead(text: string): Head | undefined {
  try {
    const head = JSON.parse(text) as Partial<Head> & { readonly millrace?: unknown }
    return typeof head === 'object' && head !== null && typeof head.millrace === 'string'
      ? (head as Head)
      : undefined
  } catch {
    // not JSON: the caller says so with the file's name
    return undefined
  }
}

/** JSON has neither bytes nor infinite numbers. */
function encodeField(this: unknown, name: string, value: unknown): unknown {
  const raw = (this as Record<string, unknown>)[name]
  if (raw instanceof Uint8Array) return { base64: Buffer.from(raw).toString('base64') }
  if (raw === Infinity) return { number: 'Infinity' }
  if (raw === -Infinity) return { number: '-Infinity' }
  return value
}

function decodeField(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('base64' in value) return new Uint8Array(Buffer.from(value.base64 as string, 'base64'))
  if ('number' in value) return Number(value.number)
  return value
}

function corrupt(place: string, why: string): EngineError {
  return new EngineError('CHECKPOINT_CORRUPT', `The manifest ${place} cannot be used: ${why}`)
}
