/**
 * From a manifest to what each subtask of the job begins with. Pure: checked before anything is started.
 *
 * Rules
 *  - State belongs to an operator uid and a state's name. A uid or state that is new starts empty; one in the manifest that the
 *    job does not have is refused unless the caller allows it; one whose kind changed is always refused.
 *  - Keyed state goes by key group, so parallelism may change; the number of key groups may not.
 *  - An operator's watermark is the lowest of its former subtasks: what was late stays late.
 */
import type { ItemsRestore } from '../contract/operator.ts'
import type { SnapshotHandle } from '../contract/snapshot-storage.ts'
import type { CellState } from '../contract/state-backend.ts'
import { EngineError } from '../core/errors.ts'
import { KEY_HASH_NAME } from '../core/key-hash.ts'
import { intersectRanges, keyGroupsOf } from '../core/key-group.ts'
import type { Manifest, OperatorManifest } from './manifest.ts'
import { decodeItems, encodeItems } from './manifest.ts'

/** An operator of the job that may find state. */
export interface RestoreTarget {
  readonly uid: string
  readonly type: string
  readonly parallelism: number
  readonly states: readonly CellState[]
  readonly isSource: boolean
  readonly itemsRestore: ItemsRestore
}

/** What one subtask of an operator begins with. Plain data. */
export interface OperatorRestore {
  readonly watermarkMs: number
  /** Snapshots whose key groups overlap the subtask's. */
  readonly keyed: readonly SnapshotHandle[]
  /** Canonical encoding of an array. */
  readonly items?: Uint8Array
}

export interface RestorePlan {
  readonly manifest: Manifest
  /** By uid, then by subtask. */
  readonly operators: ReadonlyMap<string, readonly OperatorRestore[]>
  /** By uid of a source: the splits that were dealt out. */
  readonly knownSplits: ReadonlyMap<string, readonly string[]>
  /** A line for each operator: what it finds. */
  readonly mapping: readonly string[]
}

export interface RestoreOptions {
  readonly maxParallelism: number
  readonly allowNonRestoredState: boolean
}

/** Throws `SAVEPOINT_MISMATCH` or `MAX_PARALLELISM_CHANGED` with the whole mapping in the message. */
export function planRestore(
  manifest: Manifest,
  targets: readonly RestoreTarget[],
  options: RestoreOptions,
): RestorePlan {
  checkScaleOf(manifest, options)
  const { mapping, mistakes } = mapStates(manifest, targets, options)
  if (mistakes.length > 0) {
    const list = (lines: readonly string[]): string => lines.map((line) => `\n  ${line}`).join('')
    throw new EngineError(
      'SAVEPOINT_MISMATCH',
      `${capital(manifest.kind)} ${manifest.checkpointId} of job '${manifest.jobName}' does not fit this job:${list(mistakes)}` +
        `\nThe mapping was:${list(mapping)}`,
    )
  }
  const operators = new Map<string, readonly OperatorRestore[]>()
  const knownSplits = new Map<string, readonly string[]>()
  for (const target of targets) {
    const found = manifest.operators.find(({ uid }) => uid === target.uid)
    if (found === undefined) continue
    operators.set(target.uid, restoreOperator(found, target, manifest.maxParallelism))
    if (target.isSource) knownSplits.set(target.uid, found.knownSplits ?? [])
  }
  return { manifest, operators, knownSplits, mapping }
}

function checkScaleOf(manifest: Manifest, { maxParallelism }: RestoreOptions): void {
  if (manifest.maxParallelism !== maxParallelism) {
    throw new EngineError(
      'MAX_PARALLELISM_CHANGED',
      `The state of ${manifest.kind} ${manifest.checkpointId} is divided into ${manifest.maxParallelism} key groups, the job asks for ` +
        `${maxParallelism}; set maxParallelism to ${manifest.maxParallelism}`,
    )
  }
  if (manifest.keyHash !== KEY_HASH_NAME) {
    throw new EngineError(
      'SAVEPOINT_MISMATCH',
      `The keys of ${manifest.kind} ${manifest.checkpointId} are divided by the hash '${manifest.keyHash}', this version uses '${KEY_HASH_NAME}'`,
    )
  }
}

function mapStates(
  manifest: Manifest,
  targets: readonly RestoreTarget[],
  { allowNonRestoredState }: RestoreOptions,
): { mapping: string[]; mistakes: string[] } {
  const mapping: string[] = []
  const mistakes: string[] = []
  const drop = (line: string, what: string): void => {
    mapping.push(line)
    if (allowNonRestoredState) return
    mistakes.push(
      `${what}; give the operator its former uid back, or allow its loss with allowNonRestoredState`,
    )
  }
  for (const target of targets) {
    const found = manifest.operators.find(({ uid }) => uid === target.uid)
    if (found === undefined) {
      mapping.push(`${target.uid} (${target.type}): new, starts empty`)
      continue
    }
    mapping.push(`${target.uid} (${target.type}): restored${statesText(found)}`)
    for (const state of target.states) {
      const former = found.states.find(({ name }) => name === state.name)
      if (former === undefined) mapping.push(`${target.uid}.${state.name}: new, starts empty`)
      else if (former.kind !== state.kind || former.layout !== state.layout) {
        mistakes.push(
          `state '${state.name}' of operator '${target.uid}' is a ${former.kind} there and a ${state.kind} in the job; give it a new name`,
        )
      }
    }
    for (const former of found.states) {
      if (target.states.some(({ name }) => name === former.name)) continue
      drop(
        `${target.uid}.${former.name}: no longer declared, dropped`,
        `state '${former.name}' (${former.kind}) of operator '${target.uid}' is not declared in the job`,
      )
    }
  }
  for (const found of manifest.operators) {
    if (!hasState(found) || targets.some(({ uid }) => uid === found.uid)) continue
    drop(
      `${found.uid} (${found.type}): in no operator of the job, dropped`,
      `no operator of the job has the uid '${found.uid}' (${found.type}${statesText(found)})`,
    )
  }
  return { mapping, mistakes }
}

function restoreOperator(
  found: OperatorManifest,
  target: RestoreTarget,
  maxParallelism: number,
): OperatorRestore[] {
  const watermarkMs = Math.min(...found.subtasks.map((subtask) => subtask.watermarkMs))
  const items = dealItems(
    [...found.subtasks]
      .sort((a, b) => a.subtaskIndex - b.subtaskIndex)
      .map((subtask) => decodeItems(subtask.items)),
    target,
  )
  return Array.from({ length: target.parallelism }, (_, subtask) => {
    const own = keyGroupsOf(subtask, { parallelism: target.parallelism, maxParallelism })
    const keyed = found.subtasks.flatMap((former) => {
      if (former.keyed === undefined) return []
      const shared = intersectRanges(own, former.keyed.keyGroups)
      return shared.start < shared.end ? [former.keyed] : []
    })
    const dealt = items[subtask] ?? []
    return { watermarkMs, keyed, ...(dealt.length === 0 ? {} : { items: encodeItems(dealt) }) }
  })
}

/** The items of each new subtask. */
function dealItems(
  former: readonly (readonly unknown[])[],
  { parallelism, itemsRestore }: RestoreTarget,
): unknown[][] {
  const dealt = Array.from({ length: parallelism }, (): unknown[] => [])
  switch (itemsRestore) {
    case 'split':
      former.flat().forEach((item, index) => dealt[index % parallelism]?.push(item))
      break
    case 'by-subtask':
      former.forEach((items, subtask) => dealt[subtask % parallelism]?.push(...items))
      break
    case 'union':
      for (const own of dealt) own.push(...former.flat())
      break
  }
  return dealt
}

function hasState({ states, subtasks, knownSplits }: OperatorManifest): boolean {
  return (
    states.length > 0 ||
    (knownSplits ?? []).length > 0 ||
    subtasks.some(({ items }) => items !== undefined)
  )
}

function statesText({ states }: OperatorManifest): string {
  const names = states.filter(({ name }) => !name.startsWith('#')).map(({ name }) => name)
  return names.length === 0 ? '' : `, state ${names.join(', ')}`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
