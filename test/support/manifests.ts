/** Manifests for tests: whole ones, of which a test says only what matters to it. */
import type { Manifest, OperatorManifest, SubtaskManifest } from '../../src/checkpoint/manifest.ts'
import type { SnapshotHandle } from '../../src/contract/snapshot-storage.ts'
import { KEY_HASH_NAME } from '../../src/core/key-hash.ts'

export function manifestOf(about: Partial<Manifest> = {}): Manifest {
  return {
    kind: 'checkpoint',
    jobName: 'shop',
    lineage: 'line-1',
    checkpointId: 7,
    completedAtMs: 1_700_000_000_000,
    maxParallelism: 128,
    keyHash: KEY_HASH_NAME,
    isSelfContained: true,
    operators: [],
    ...about,
  }
}

export function operatorOf(uid: string, about: Partial<OperatorManifest> = {}): OperatorManifest {
  return {
    uid,
    type: 'process',
    parallelism: about.subtasks?.length ?? 1,
    states: [],
    subtasks: [subtaskOf(0)],
    ...about,
  }
}

export function subtaskOf(
  subtaskIndex: number,
  about: Partial<SubtaskManifest> = {},
): SubtaskManifest {
  return { subtaskIndex, watermarkMs: 0, ...about }
}

/** The snapshot of some key groups, in one file. */
export function snapshotOf(start: number, end: number): SnapshotHandle {
  const file = { name: 'pages', location: `at-${start}`, bytes: 10, crc32: 1, isImmutable: true }
  return { format: 'pages', keyGroups: { start, end }, files: [file] }
}
