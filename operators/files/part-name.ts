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
 *
 * The attempt is unique within the checkpoints of a job. A job that starts anew, with none or with an empty directory for them,
 * begins to count again, as does another job with a sink of the same uid. So whoever begins to write looks at what is there: its
 * hidden files are numbered on from those of a former life under the same name, and `~2`, `~3` and so on stand behind
 * the attempt of its final ones.
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
  readonly subtaskIndex: number
  readonly n: number
  readonly isOpen: boolean
}

/** What a subtask finds that looks like its own when it begins to write. */
export interface FormerLife {
  /** Hidden files, whatever became of whoever wrote them. */
  readonly hidden: readonly string[]
  /** The first number that no hidden file has. */
  readonly nextN: number
  /** 1 where no final name could meet another, else the first number that tells them apart. */
  readonly life: number
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

/** Which file of a checkpoint. */
export interface FinalPart {
  readonly checkpointId: number
  readonly n: number
  /** See `FormerLife`. */
  readonly life: number
  readonly extension: string
}

/** The name of the `n`th file of a checkpoint. */
export function finalName(
  owner: PartOwner,
  { checkpointId, n, life, extension }: FinalPart,
): string {
  const numbers = [
    String(checkpointId).padStart(CHECKPOINT_DIGITS, '0'),
    String(owner.subtaskIndex).padStart(INDEX_DIGITS, '0'),
    String(n).padStart(INDEX_DIGITS, '0'),
  ]
  const attempt = escaped(owner.attempt) + (life === 1 ? '' : `~${life}`)
  return `part-${[escaped(owner.operatorUid), ...numbers, attempt].join('-')}.${extension}`
}

/** What a former life under the same name left among the files of a directory. */
export function formerLife(owner: PartOwner, names: readonly string[]): FormerLife {
  const hidden: string[] = []
  let nextN = 0
  let life = 1
  for (const name of names) {
    const part = parseHidden(name)
    if (part === undefined) {
      life = Math.max(life, lifeAfter(owner, name))
    } else if (
      isSameSink(part, owner) &&
      isSameAttempt(part, owner) &&
      part.subtaskIndex === owner.subtaskIndex
    ) {
      hidden.push(name)
      nextN = Math.max(nextN, part.n + 1)
    }
  }
  return { hidden, nextN, life }
}

/** The life that a final name leaves to the next one; 1 where it is none of this owner's. */
function lifeAfter(owner: PartOwner, name: string): number {
  const start = `part-${escaped(owner.operatorUid)}-`
  if (!name.startsWith(start)) return 1
  const match = /^\d+-(\d+)-\d+-([\w%-]*)(?:~(\d+))?\.[^.]*$/.exec(name.slice(start.length))
  if (match === null) return 1
  const [, subtask, attempt, life = '1'] = match
  const isOwn = Number(subtask) === owner.subtaskIndex && attempt === escaped(owner.attempt)
  return isOwn ? Number(life) + 1 : 1
}

/** What a hidden name tells; undefined for names of other kinds. */
export function parseHidden(name: string): HiddenPart | undefined {
  const match = /^\.part-([^.]*)\.([^.]*)\.([^.]*)\.(\d+)\.(\d+)(\.open)?$/.exec(name)
  if (match === null) return undefined
  const [, job = '', uid = '', attempt = '', subtask, n, open] = match
  return {
    job,
    uid,
    attempt,
    subtaskIndex: Number(subtask),
    n: Number(n),
    isOpen: open !== undefined,
  }
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
