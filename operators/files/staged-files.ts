/**
 * What the snapshot of a file sink says of an epoch, and how it is made visible.
 *
 *  - staged, not final: rename it.
 *  - final, not staged: it was done before.
 *  - neither: the file is lost. Both, or a size that is not the one that was prepared: something else was at work. Each is an error
 *    that no restart mends.
 */
import type { Committable } from '../../src/contract/sink.ts'
import { EngineError } from '../../src/core/errors.ts'
import { attempted } from './sink-failure.ts'
import { isMissing } from './sink-directory.ts'
import type { SinkDirectory } from './sink-directory.ts'

/** What a committable holds. */
export interface StagedFiles {
  /** Where they were staged: another place than the sink's, if its options were changed since. */
  readonly directory: string
  readonly files: readonly StagedFile[]
}

export interface StagedFile {
  readonly staged: string
  readonly final: string
  readonly bytes: number
}

/** What a committable holds, decoded. */
export function toStagedFiles({ checkpointId, data }: Committable): StagedFiles {
  if (isStagedFiles(data)) return data
  throw new EngineError(
    'CHECKPOINT_CORRUPT',
    `What checkpoint ${checkpointId} says of the file sink cannot be read; was another sink under this uid?`,
  )
}

/** Gives a file its final name, in whichever of the places it is. Answers where that was. */
export async function publish(
  places: readonly SinkDirectory[],
  { staged, final, bytes }: StagedFile,
): Promise<SinkDirectory> {
  for (const directory of places) {
    const isThere = await attempted(
      `The file ${directory.path}/${final} cannot be made`,
      async () => {
        const size = await directory.sizeOf(staged)
        const hasFinal = (await directory.sizeOf(final)) !== undefined
        if (size === undefined) return hasFinal
        checkStaged(directory, { staged, final, bytes, size, hasFinal })
        try {
          await directory.rename(staged, final)
          return true
        } catch (error) {
          // another owner of the same checkpoint may have been faster
          if (isMissing(error)) return (await directory.sizeOf(final)) !== undefined
          throw error
        }
      },
    )
    if (isThere) return directory
  }
  const where = places.map(({ path }) => path).join(' and ')
  throw new EngineError(
    'SINK_FAILED',
    `The checkpoint names the file ${staged} of ${bytes} bytes, but in ${where} there is neither it nor ${final}, ` +
      'which it was to become; put either back, or resume from an earlier checkpoint',
    { retryable: false },
  )
}

function checkStaged(
  { path }: SinkDirectory,
  file: StagedFile & { readonly size: number; readonly hasFinal: boolean },
): void {
  if (file.size !== file.bytes) {
    throw new EngineError(
      'SINK_FAILED',
      `The file ${path}/${file.staged} has ${file.size} bytes, but had ${file.bytes} when the checkpoint was taken; ` +
        'something else changed it, or the disk lost what it had confirmed. Resume from an earlier checkpoint',
      { retryable: false },
    )
  }
  if (file.hasFinal) {
    throw new EngineError(
      'SINK_FAILED',
      `The file ${path}/${file.final} is there already, and so is ${file.staged}, which is to become it; ` +
        'something else made it: move it away',
      { retryable: false },
    )
  }
}

function isStagedFiles(data: unknown): data is StagedFiles {
  return (
    typeof data === 'object' &&
    data !== null &&
    'directory' in data &&
    typeof data.directory === 'string' &&
    'files' in data &&
    Array.isArray(data.files) &&
    data.files.every(isStagedFile)
  )
}

function isStagedFile(file: unknown): file is StagedFile {
  return (
    typeof file === 'object' &&
    file !== null &&
    'staged' in file &&
    typeof file.staged === 'string' &&
    'final' in file &&
    typeof file.final === 'string' &&
    'bytes' in file &&
    typeof file.bytes === 'number'
  )
}
