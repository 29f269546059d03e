/**
 * The names of a file sink's files. Pure.
 *
 *     .part-<job>.<uid>.<attempt>.<subtask>.<n>.open   being written: no checkpoint names it
 *     .part-<job>.<uid>.<attempt>.<subtask>.<n>        staged: whole, on disk, and named by a checkpoint or by none
 *     part-<uid>-<checkpoint>-<subtask>-<n>-<attempt>.<extension>   final
 *
 * Hidden names tell whose they are without a doubt: in a part of a name every character but letters, digits, `_` and `-` is
 * escaped, so the dots between the parts are the only ones. Final names are unique over runs by the attempt, over subtasks and
 * checkpoints by their numbers, and sort by checkpoint, subtask and order of writing.
 */

/** Who writes. */
export interface PartOwner {
  readonly jobName: string
  readonly operatorUid: string
  readonly attempt: string
  readonly subtaskIndex: number
}

/** What a hidden name tells. The names of job, operator and attempt are escaped, for `isSameSink` and `isSameAttempt`. */
export interface HiddenPart {
  readonly job: string
  readonly uid: string
  readonly attempt: string
  readonly isOpen: boolean
}

const OPEN_SUFFIX = '.open'
const CHECKPOINT_DIGITS = 16
const INDEX_DIGITS = 5

/** The name of the `n`th file of a subtask's run, once it is staged. */
export function stagedName(owner: PartOwner, n: number): string {
  const names = [owner.jobName, owner.operatorUid, owner.attempt].map(escaped)
  return `.part-${[...names, owner.subtaskIndex, n].join('.')}`
}

/** Its name before that. */
export function openName(staged: string): string {
  return staged + OPEN_SUFFIX
}

/** The name of the `n`th file of a checkpoint. */
export function finalName(
  owner: PartOwner,
  { checkpointId, n, extension }: { checkpointId: number; n: number; extension: string },
): string {
  const numbers = [
    String(checkpointId).padStart(CHECKPOINT_DIGITS, '0'),
    String(owner.subtaskIndex).padStart(INDEX_DIGITS, '0'),
    String(n).padStart(INDEX_DIGITS, '0'),
  ]
  const parts = [escaped(owner.operatorUid), ...numbers, escaped(owner.attempt)]
  return `part-${parts.join('-')}.${extension}`
}

/** What a hidden name tells; undefined for names of other kinds. */
export function parseHidden(name: string): HiddenPart | undefined {
  const match = /^\.part-([^.]*)\.([^.]*)\.([^.]*)\.\d+\.\d+(\.open)?$/.exec(name)
  if (match === null) return undefined
  const [, job = '', uid = '', attempt = '', open] = match
  return { job, uid, attempt, isOpen: open !== undefined }
}

/** Whether a hidden file is of the same sink of the same job, of whatever run. */
export function isSameSink(part: HiddenPart, owner: PartOwner): boolean {
  return part.job === escaped(owner.jobName) && part.uid === escaped(owner.operatorUid)
}

/** Whether a hidden file is of the same run too. */
export function isSameAttempt(part: HiddenPart, owner: PartOwner): boolean {
  return part.attempt === escaped(owner.attempt)
}

/** The extension for files of a format. */
export function extensionOf(format: string): string {
  if (format === 'json') return 'jsonl'
  if (format === 'text') return 'txt'
  return escaped(format)
}

function escaped(text: string): string {
  return Array.from(Buffer.from(text), (byte) => {
    const character = String.fromCharCode(byte)
    if (/[\w-]/.test(character)) return character
    return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }).join('')
}
