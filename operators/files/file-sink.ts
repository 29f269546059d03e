/**
 * The file sink as a job names it: its options, their defaults and their checks. What it does and what it holds is told in
 * file-sink-writer.ts.
 *
 * There is no interval to roll by. Every checkpoint ends the file: one that goes on over checkpoints would have to be cut back after a
 * restore, and could not be seen before. A shorter interval would make nothing visible sooner, as only a checkpoint commits.
 * Fewer, larger files come from fewer checkpoints.
 */
import type { Format } from '../../src/contract/format.ts'
import type { Sink } from '../../src/contract/sink.ts'
import { EngineError } from '../../src/core/errors.ts'
import { openFileSinkWriter } from './file-sink-writer.ts'
import type { FileSinkWriterOptions } from './file-sink-writer.ts'
import { positiveBytes } from './positive-bytes.ts'
import { directoryAt } from './sink-directory.ts'

export interface FileSinkOptions<T> {
  /** Made where it is missing. Hidden files of unfinished epochs are kept in it, so that a rename is all a commit needs. */
  readonly directory: string
  /** Of one line. What it writes must have no line end in it: `json()` and `text()` of one line, not `messagePack()`. */
  readonly format: Format<T>
  /** A file that would grow larger is ended, and the epoch goes on in another one. Default: 128 MiB. */
  readonly bytesMax?: number
  /** So much may wait for the disk before the sink takes no more. Default: 4 MiB. */
  readonly writeBehindBytesMax?: number
}

const BYTES_MAX_DEFAULT = 128 * 1024 * 1024
const WRITE_BEHIND_BYTES_MAX_DEFAULT = 4 * 1024 * 1024

/**
 * Files of lines, one record a line. Files appear under their final names whole, once, when the checkpoint that covers them completes,
 * and are called `part-<operator uid>-<checkpoint>-<subtask>-<n>-<run>.<extension>`. An epoch without records makes no file.
 *
 * Fails with `SINK_FAILED` where something can't be written or a prepared file is missing, with path and cause, and with
 * `VALUE_UNSUPPORTED` for a record with a line end in it. Needs checkpoints: without them nothing becomes visible before the job ends.
 *
 * @example
 * stream.to('orders', fileSink({ directory: 'out', format: json() }))
 */
export function fileSink<T>(options: FileSinkOptions<T>): Sink<T> {
  const checked = checkOptions(options)
  return {
    type: 'files',
    details: {
      directory: options.directory,
      format: options.format.name,
      bytesMax: checked.bytesMax,
    },
    open: (context) => openFileSinkWriter(checked, context, directoryAt),
  }
}

function checkOptions<T>(options: FileSinkOptions<T>): FileSinkWriterOptions<T> {
  const { directory, format } = options
  if (directory === '') throw new EngineError('OPTION_INVALID', 'directory must not be empty')
  return {
    directory,
    format,
    bytesMax: positiveBytes(options.bytesMax ?? BYTES_MAX_DEFAULT, 'bytesMax'),
    writeBehindBytesMax: positiveBytes(
      options.writeBehindBytesMax ?? WRITE_BEHIND_BYTES_MAX_DEFAULT,
      'writeBehindBytesMax',
    ),
  }
}
