/** The codecs of record batches, by the number that stands in the batch. Synchronous: a batch is unpacked when it is read. */
import * as zlib from 'node:zlib'
import { EngineError } from '../../src/core/errors.ts'
import { decompressLz4 } from './lz4.ts'
import { decompressSnappy } from './snappy.ts'

/** How the sink may compress. */
export type Compression = 'none' | 'gzip'

/** What one batch may unpack to. Producers make batches of a megabyte or so; this only keeps a damaged one from taking the heap. */
export const UNPACKED_BYTES_MAX: number = 256 * 1024 * 1024

const codec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const

/** The number of a codec. */
export function codecOf(compression: Compression): number {
  return codec[compression]
}

export function compress(compression: Exclude<Compression, 'none'>, bytes: Uint8Array): Uint8Array {
  switch (compression) {
    case 'gzip':
      return zlib.gzipSync(bytes)
  }
}

/** Throws `KAFKA_FAILED` for a codec that this Node lacks; whatever the codec throws for damaged data. */
export function decompress(codecNumber: number, bytes: Uint8Array): Uint8Array {
  switch (codecNumber) {
    case codec.gzip:
      return zlib.gunzipSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX })
    case codec.snappy:
      return decompressSnappy(bytes, UNPACKED_BYTES_MAX)
    case codec.lz4:
      return decompressLz4(bytes, UNPACKED_BYTES_MAX)
    case codec.zstd:
      return decompressZstd(bytes)
    default:
      throw new RangeError(`Unknown codec ${codecNumber}`)
  }
}

/** In node:zlib since Node 22.15, so not in the types of Node 20. */
function decompressZstd(bytes: Uint8Array): Uint8Array {
  const unpack: unknown = Reflect.get(zlib, 'zstdDecompressSync')
  if (typeof unpack !== 'function') {
    throw new EngineError(
      'KAFKA_FAILED',
      `Records are compressed with zstd, which Node ${process.version} cannot unpack; use Node 22.15 or newer, or set compression.type of the topic to another codec`,
      { retryable: false },
    )
  }
  const unpacked: unknown = unpack(bytes, { maxOutputLength: UNPACKED_BYTES_MAX })
  if (unpacked instanceof Uint8Array) return unpacked
  throw new TypeError('zstdDecompressSync gave no bytes')
}
