/** What a process that was killed has left behind, and so what it was doing. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeItems, decodeManifest } from '../../../src/checkpoint/manifest.ts'
import type { Committable } from '../../../src/contract/sink.ts'
import { namesIn } from './records.ts'

/** What a kill interrupted. */
export type Moment =
  /** Before it had the checkpoint directory. */
  | 'starting'
  /** It had the directory, but not all subtasks ran. */
  | 'restoring'
  /** Of the next checkpoint some data was written. */
  | 'snapshotting'
  /** Output that the newest checkpoint covers had not all its final names. */
  | 'between publish and commit'
  /** Anything else: records went through. */
  | 'between checkpoints'

export const MOMENTS: readonly Moment[] = [
  'starting',
  'restoring',
  'snapshotting',
  'between publish and commit',
  'between checkpoints',
]

/** The number that grows with each owner of a checkpoint directory; 0 before the first. */
export function fenceOf(directory: string): number {
  try {
    return Number(readFileSync(join(directory, 'fence'), 'utf8'))
  } catch {
    // not made yet
    return 0
  }
}

/** The newest complete checkpoint; 0 where there is none. */
export function newestCheckpoint(directory: string): number {
  const ids = namesIn(join(directory, 'manifests')).filter((name) => /^\d+$/.test(name))
  return Math.max(0, ...ids.map(Number))
}

/** The highest id of which there is data; 0 where there is none. */
export function newestData(directory: string): number {
  const ids = namesIn(join(directory, 'data')).map((name) => Number.parseInt(name, 10))
  return Math.max(0, ...ids)
}

/** What a process in the directory was doing when it died. */
export function momentOf(directory: string, outputs: readonly string[]): Moment {
  const newest = newestCheckpoint(directory)
  const hidden = new Set(outputs.flatMap(namesIn).filter((name) => name.startsWith('.')))
  if (newest > 0 && stagedBy(directory, newest).some((name) => hidden.has(name))) {
    return 'between publish and commit'
  }
  return newestData(directory) > newest ? 'snapshotting' : 'between checkpoints'
}

/** The hidden files that are to become visible with a checkpoint. */
function stagedBy(directory: string, checkpointId: number): string[] {
  const path = join(directory, 'manifests', String(checkpointId).padStart(8, '0'))
  const manifest = decodeManifest(readFileSync(path), path)
  return manifest.operators
    .filter(({ type }) => type === 'files')
    .flatMap(({ subtasks }) => subtasks.flatMap(({ items }) => decodeItems(items)))
    .filter((item): item is Committable => {
      return typeof item === 'object' && item !== null && 'checkpointId' in item
    })
    .flatMap(
      ({ data }) => (data as { readonly files: readonly { readonly staged: string }[] }).files,
    )
    .map(({ staged }) => staged)
}
