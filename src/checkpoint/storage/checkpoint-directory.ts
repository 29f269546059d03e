/**
 * The checkpoints of a job in a directory: the coordinator's side. Snapshots are written by snapshot-directory.ts.
 *
 *   <root>/job                        name of the job that the directory belongs to
 *   <root>/owner/, <root>/fence       see owner-lock.ts
 *   <root>/ledger                     see ledger-file.ts
 *   <root>/manifests/<checkpoint>     one file per complete checkpoint
 *   <root>/data/<checkpoint>-<attempt>/
 *   <root>/work/                      working files of the running process, of no use to the next
 *
 * Publishing
 *  1. The snapshots' files are durable (their writers saw to that); now the names of their directories are.
 *  2. The fence is read again: only the present owner goes on.
 *  3. The manifest is written under a temporary name and synced, then linked to its own, which must not exist; the directory
 *     is synced. From here on the checkpoint exists.
 *
 * Invariants
 *  - A manifest names only files that are durable and whole. What no manifest and no running checkpoint names is removed.
 *  - Paths in manifests are relative, so that a directory can be moved; in memory they are absolute.
 */
import { dirname, isAbsolute, join, relative } from 'node:path'
import { crc32 } from 'node:zlib'
import type { SnapshotHandle } from '../../contract/snapshot-storage.ts'
import type { SinkLedger } from '../../contract/sink.ts'
import { EngineError } from '../../core/errors.ts'
import type { Fence } from '../../core/ids.ts'
import type { Manifest } from '../manifest.ts'
import { decodeManifest, encodeManifest } from '../manifest.ts'
import type { CheckpointStore } from '../checkpoint-store.ts'
import type { FileSystem } from './file-system.ts'
import { LedgerFile } from './ledger-file.ts'
import type { OwnerLock } from './owner-lock.ts'
import { unusable } from './owner-lock.ts'
import { dataDirectory } from './snapshot-directory.ts'

const SAVEPOINT_MANIFEST = 'savepoint'
/** Of a file that is about to get its name. */
const TEMPORARY_SUFFIX = '.part'

export interface CheckpointDirectoryOptions {
  readonly files: FileSystem
  readonly root: string
  readonly jobName: string
  /** Whether what the directory was copied from is over, so that its unfinished output is this job's. Default false. */
  readonly claim?: boolean
  /** Takes the lock once the directory is there. */
  readonly lock: (files: FileSystem, root: string) => Promise<OwnerLock>
}

/** The complete checkpoints of a directory, oldest first; none if there is no such directory. For readers who do not own it too. */
export async function checkpointIdsIn(files: FileSystem, root: string): Promise<number[]> {
  const names = await files.list(join(root, 'manifests'))
  return names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
}

export class CheckpointDirectory implements CheckpointStore {
  readonly root: string
  readonly workDirectory: string
  readonly #files: FileSystem
  readonly #lock: OwnerLock
  readonly #ledger: LedgerFile

  private constructor(files: FileSystem, root: string, lock: OwnerLock, ledger: LedgerFile) {
    this.#files = files
    this.#lock = lock
    this.#ledger = ledger
    this.root = root
    this.workDirectory = join(root, 'work', String(lock.fence))
  }

  /** Makes the directory if need be and takes it over. */
  static async open(options: CheckpointDirectoryOptions): Promise<CheckpointDirectory> {
    const { files, root, jobName } = options
    let lock: OwnerLock | undefined
    try {
      await files.makeDirectory(join(root, 'manifests'))
      await files.makeDirectory(join(root, 'data'))
      lock = await options.lock(files, root)
      await claimForJob(files, root, jobName)
      await removeFormerWork(files, root, lock.fence)
      const ledger = await LedgerFile.open(files, root, { claim: options.claim ?? false })
      const store = new CheckpointDirectory(files, root, lock, ledger)
      await files.makeDirectory(store.workDirectory)
      await files.sync(root)
      await files.sync(dirname(root))
      return store
    } catch (error) {
      await lock?.close()
      throw error instanceof EngineError ? error : unusable(root, error)
    }
  }

  get fence(): Fence {
    return this.#lock.fence
  }

  list(): Promise<number[]> {
    return checkpointIdsIn(this.#files, this.root)
  }

  async load(checkpointId: number): Promise<Manifest> {
    const path = this.#manifestPath(checkpointId)
    // its publisher may have ended before its name was durable; what is restored, and then committed, must stay
    await this.#files.sync(join(this.root, 'manifests'))
    return absolute(decodeManifest(await this.#files.read(path), path), this.root)
  }

  verify(manifest: Manifest): Promise<void> {
    return verifyFiles(this.#files, manifest)
  }

  async reserve(): Promise<number> {
    const published = (await this.list()).at(-1) ?? 0
    const checkpointId = Math.max(published, await this.#lock.lastReserved()) + 1
    await this.#lock.reserve(checkpointId)
    return checkpointId
  }

  checkOwner(): Promise<void> {
    return this.#lock.check()
  }

  async ownsLineage(lineage: string): Promise<boolean> {
    return this.#ledger.owns(lineage)
  }

  takeLineage(lineage: string): Promise<void> {
    return this.#ledger.take(lineage)
  }

  ledger(operatorUid: string): SinkLedger {
    return this.#ledger.of(operatorUid)
  }

  async publish(manifest: Manifest, attempt: string): Promise<void> {
    const files = this.#files
    const data = join(this.root, dataDirectory(manifest.checkpointId, attempt))
    if (handlesOf(manifest).some(({ files: { length } }) => length > 0)) await files.sync(data)
    await files.sync(join(this.root, 'data'))
    await this.#lock.check()
    const path = this.#manifestPath(manifest.checkpointId)
    await createWhole(
      files,
      path,
      encodeManifest(relocated(manifest, (at) => relative(this.root, at))),
    )
    await files.sync(join(this.root, 'manifests'))
  }

  async discard(checkpointId: number): Promise<void> {
    await this.#files.remove(this.#manifestPath(checkpointId))
    await this.#files.sync(join(this.root, 'manifests'))
    const names = await this.#files.list(join(this.root, 'data'))
    await this.#removeData(names, (id) => id === checkpointId)
  }

  async sweep(running: ReadonlySet<number>): Promise<void> {
    const names = await this.#files.list(join(this.root, 'data'))
    const published = new Set(await this.list())
    const manifests = await this.#files.list(join(this.root, 'manifests'))
    // still the owner: nothing that was listed is another's that came later
    await this.#lock.check()
    await this.#removeData(names, (id) => !published.has(id) && !running.has(id))
    for (const name of manifests.filter((each) => each.endsWith(TEMPORARY_SUFFIX))) {
      await this.#files.remove(join(this.root, 'manifests', name))
    }
  }

  savepointDirectory(parent: string, checkpointId: number, attempt: string): string {
    return join(parent, `savepoint-${checkpointId}-${attempt}`)
  }

  async publishSavepoint(directory: string, manifest: Manifest): Promise<void> {
    const files = this.#files
    await files.makeDirectory(directory)
    await this.#lock.check()
    const bytes = encodeManifest(relocated(manifest, (at) => relative(directory, at)))
    await createWhole(files, join(directory, SAVEPOINT_MANIFEST), bytes)
    // the manifest's name, the savepoint's own, and that of a parent which may be new as well
    await files.sync(directory)
    await files.sync(dirname(directory))
    await files.sync(dirname(dirname(directory)))
  }

  async discardSavepoint(directory: string): Promise<void> {
    await this.#files.remove(directory)
  }

  async close(): Promise<void> {
    try {
      await this.#files.remove(this.workDirectory)
    } finally {
      await this.#lock.close()
    }
  }

  /** Removes the data of checkpoints. A directory of another attempt at a published id is kept: its manifest may name it. */
  async #removeData(
    names: readonly string[],
    isUnwanted: (checkpointId: number) => boolean,
  ): Promise<void> {
    for (const name of names) {
      if (isUnwanted(Number.parseInt(name, 10)))
        await this.#files.remove(join(this.root, 'data', name))
    }
  }

  #manifestPath(checkpointId: number): string {
    return join(this.root, 'manifests', String(checkpointId).padStart(8, '0'))
  }
}

/** Reads a savepoint, or the checkpoint that a manifest's path names, and verifies every file of it. */
export async function loadSavepoint(files: FileSystem, path: string): Promise<Manifest> {
  const inDirectory = join(path, SAVEPOINT_MANIFEST)
  const isDirectory = (await files.size(inDirectory)) !== undefined
  const manifestPath = isDirectory ? inDirectory : path
  if ((await files.size(manifestPath)) === undefined) throw noSavepoint(path)
  try {
    const bytes = await files.read(manifestPath)
    const root = isDirectory ? path : join(manifestPath, '..', '..')
    const manifest = absolute(decodeManifest(bytes, manifestPath), root)
    await verifyFiles(files, manifest)
    return manifest
  } catch (error) {
    // another directory than that of a savepoint
    if (error instanceof Error && 'code' in error && error.code === 'EISDIR')
      throw noSavepoint(path)
    throw new EngineError(
      'SAVEPOINT_CORRUPT',
      `The savepoint at ${path} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}

function noSavepoint(path: string): EngineError {
  return new EngineError(
    'SAVEPOINT_NOT_FOUND',
    `There is no savepoint at ${path}; give the directory that 'savepoint' printed, or a file of a checkpoint directory's manifests`,
  )
}

/** Compares every file with its length and checksum. */
async function verifyFiles(files: FileSystem, manifest: Manifest): Promise<void> {
  for (const handle of handlesOf(manifest)) {
    for (const file of handle.files) {
      const bytes = await files.size(file.location)
      const isWhole = bytes === file.bytes && crc32(await files.read(file.location)) === file.crc32
      if (isWhole) continue
      const found = bytes === undefined ? 'is missing' : 'is not as it was written'
      throw new EngineError(
        'CHECKPOINT_CORRUPT',
        `The file ${file.location} of ${manifest.kind} ${manifest.checkpointId} ${found}`,
      )
    }
  }
}

function handlesOf(manifest: Manifest): SnapshotHandle[] {
  return manifest.operators.flatMap(({ subtasks }) =>
    subtasks.flatMap(({ keyed }) => (keyed === undefined ? [] : [keyed])),
  )
}

function absolute(manifest: Manifest, root: string): Manifest {
  return relocated(manifest, (at) => (isAbsolute(at) ? at : join(root, at)))
}

function relocated(manifest: Manifest, move: (location: string) => string): Manifest {
  return {
    ...manifest,
    operators: manifest.operators.map((operator) => ({
      ...operator,
      subtasks: operator.subtasks.map((subtask) =>
        subtask.keyed === undefined
          ? subtask
          : {
              ...subtask,
              keyed: {
                ...subtask.keyed,
                files: subtask.keyed.files.map((file) => ({
                  ...file,
                  location: move(file.location),
                })),
              },
            },
      ),
    })),
  }
}

/** Makes a file that must not exist, in one piece: readers see all of it or nothing. */
async function createWhole(files: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX
  await files.remove(temporary)
  await files.write(temporary, bytes)
  await files.sync(temporary)
  await files.link(temporary, path)
  await files.remove(temporary)
}

/** Working files of owners before; one that comes later, while this process stands still, keeps its own. */
async function removeFormerWork(files: FileSystem, root: string, fence: Fence): Promise<void> {
  const work = join(root, 'work')
  for (const name of await files.list(work)) {
    if (!(Number(name) > fence)) await files.remove(join(work, name))
  }
}

/** The directory belongs to the job whose name it has; a new one is given this name. */
async function claimForJob(files: FileSystem, root: string, jobName: string): Promise<void> {
  const path = join(root, 'job')
  if ((await files.size(path)) === undefined) {
    await createWhole(files, path, Buffer.from(jobName))
    return
  }
  const owner = Buffer.from(await files.read(path)).toString('utf8')
  if (owner === jobName) return
  throw new EngineError(
    'CHECKPOINT_OF_OTHER_JOB',
    `The checkpoint directory ${root} belongs to the job '${owner}', not to '${jobName}'; give each job a directory of its own`,
  )
}
