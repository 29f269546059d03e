/**
 * Which files a LevelDB database is made of, from its MANIFEST. Pure.
 *
 * A MANIFEST is a log of version edits in blocks of 32 KiB. Each record has a masked CRC-32C (4 bytes), a length (2, little-endian)
 * and a type (full, first, middle, last); what stands in it are tagged fields. Every prefix that ends with a whole
 * record is a MANIFEST that was valid at some time.
 *
 * Invariants
 *  - A table is live if some edit added it and none after removed it. Other tables in the directory are half written or about
 *    to be deleted: a further name of a half-written one would be overwritten by the database that is opened later.
 *  - `bytes` ends behind the last whole record, so that what a writer is just appending is left out.
 */
import { EngineError } from '../../src/core/errors.ts'

/** What the MANIFEST says of the other files. */
export interface ManifestFiles {
  /** Bytes of the MANIFEST in which all this stands. */
  readonly bytes: number
  /** Numbers of the live tables, ascending. */
  readonly tables: readonly number[]
  /** Logs from this number on have not been turned into tables yet. */
  readonly logNumber: number
  /** A log before `logNumber` that is still needed; 0 if there is none. */
  readonly previousLogNumber: number
}

/** Logs, and MANIFESTs as such, are cut into blocks that no fragment of a record crosses. */
export const LOG_BLOCK_BYTES = 32_768
/** Before each fragment. */
export const LOG_HEADER_BYTES = 7
/** What a fragment is of its record. */
export const logRecordType = { zero: 0, full: 1, first: 2, middle: 3, last: 4 } as const
/** What the fields of a version edit are. */
export const manifestTag = {
  comparator: 1,
  logNumber: 2,
  nextFileNumber: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLogNumber: 9,
} as const

/** Reads a MANIFEST as far as it goes. */
export function readManifest(manifest: Buffer): ManifestFiles {
  const files = { bytes: 0, live: new Set<number>(), logNumber: 0, previousLogNumber: 0 }
  let parts: Buffer[] = []
  let position = 0
  while (position + LOG_HEADER_BYTES <= manifest.length) {
    const leftInBlock = LOG_BLOCK_BYTES - (position % LOG_BLOCK_BYTES)
    if (leftInBlock < LOG_HEADER_BYTES) {
      position += leftInBlock
      continue
    }
    const length = manifest.readUInt16LE(position + 4)
    const type = manifest.readUInt8(position + 6)
    const end = position + LOG_HEADER_BYTES + length
    if (type === logRecordType.zero || end > manifest.length) break
    const data = manifest.subarray(position + LOG_HEADER_BYTES, end)
    if (type === logRecordType.full || type === logRecordType.first) parts = []
    parts.push(data)
    if (type === logRecordType.full || type === logRecordType.last) {
      applyEdit(files, Buffer.concat(parts))
      files.bytes = end
    }
    position = end
  }
  return {
    bytes: files.bytes,
    tables: [...files.live].sort((a, b) => a - b),
    logNumber: files.logNumber,
    previousLogNumber: files.previousLogNumber,
  }
}

/** The name of a table in the directory of its database. */
export function tableName(number: number): string {
  return `${String(number).padStart(6, '0')}.ldb`
}

/** The name of a log. */
export function logName(number: number): string {
  return `${String(number).padStart(6, '0')}.log`
}

/** Which of the files in the directory are logs that are still needed, in the order they were written. */
export function liveLogs(names: readonly string[], manifest: ManifestFiles): readonly string[] {
  return names
    .filter((name) => /^\d+\.log$/.test(name))
    .map((name) => ({ name, number: Number.parseInt(name, 10) }))
    .filter(({ number }) => number >= manifest.logNumber || number === manifest.previousLogNumber)
    .sort((a, b) => a.number - b.number)
    .map(({ name }) => name)
}

interface MutableFiles {
  readonly live: Set<number>
  logNumber: number
  previousLogNumber: number
}

function applyEdit(files: MutableFiles, edit: Buffer): void {
  const fields = new FieldReader(edit)
  while (!fields.isAtEnd) {
    const field = fields.varint()
    switch (field) {
      case manifestTag.comparator:
        fields.skipSlice()
        break
      case manifestTag.logNumber:
        files.logNumber = fields.varint()
        break
      case manifestTag.previousLogNumber:
        files.previousLogNumber = fields.varint()
        break
      case manifestTag.nextFileNumber:
      case manifestTag.lastSequence:
        fields.varint()
        break
      case manifestTag.compactPointer:
        fields.varint()
        fields.skipSlice()
        break
      case manifestTag.deletedFile:
        fields.varint()
        files.live.delete(fields.varint())
        break
      case manifestTag.newFile: {
        fields.varint()
        files.live.add(fields.varint())
        fields.varint()
        fields.skipSlice()
        fields.skipSlice()
        break
      }
      default:
        throw corrupt(`has an edit with the unknown field ${field}`)
    }
  }
}

class FieldReader {
  readonly #bytes: Buffer
  #position = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#bytes.length
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#position++]
      if (byte === undefined) throw corrupt('ends inside an edit')
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }

  skipSlice(): void {
    const length = this.varint()
    this.#position += length
    if (this.#position > this.#bytes.length) throw corrupt('ends inside an edit')
  }
}

function corrupt(what: string): EngineError {
  return new EngineError(
    'STATE_STORAGE_FAILED',
    `The MANIFEST of the state's database ${what}; the disk under the work directory is damaged or full`,
  )
}
